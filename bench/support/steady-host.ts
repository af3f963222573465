import type pg from 'pg';
import { openPool, TIMEOUT_SECONDS, withClient } from './fixture.js';

const CONNECTIONS = 20;
/** One in so many of its updates approves an execution that is overdue, of those that something may be timing out. */
const APPROVES_EVERY = 20;
const TICK_MS = 2;

interface Key {
  tenantId: string;
  projectId: string;
  id: string;
}

/**
 * The service that owns the watched table, at its work: so many updates by key a second, evenly spread, whether or not
 * earlier ones are answered. Latency counts from the moment at which an update was due, so that one which had to wait
 * for a connection, because others hung, is told as slow as its caller found it.
 */
export class SteadyHost {
  /** In milliseconds, of each update that was answered since measuring began. */
  readonly latencies: number[] = [];
  private readonly underWay = new Set<Promise<void>>();
  private sent = 0;
  private clock: NodeJS.Timeout | undefined;

  private constructor(
    private readonly pool: pg.Pool,
    private readonly running: readonly Key[],
    private readonly overdue: readonly Key[],
    private readonly perSecond: number,
  ) {}

  static async start(url: string, perSecond: number): Promise<SteadyHost> {
    const running = await keysOf(url, `status <> 'suspended'`);
    const overdue = await keysOf(
      url,
      `status = 'suspended' AND updated_at <= now() - interval '${TIMEOUT_SECONDS} seconds'`,
    );
    const pool = openPool(url, CONNECTIONS);
    await Promise.all(Array.from({ length: CONNECTIONS }, () => pool.query('SELECT pg_sleep(0.05)')));
    const host = new SteadyHost(pool, running, overdue, perSecond);
    host.work();
    return host;
  }

  /** Forgets what was slow until now. */
  beginMeasuring(): void {
    this.latencies.length = 0;
  }

  async stop(): Promise<void> {
    clearInterval(this.clock);
    await Promise.all(this.underWay);
    await this.pool.end();
  }

  private work(): void {
    const start = performance.now();
    this.clock = setInterval(() => {
      for (let due = this.dueAt(start); due <= performance.now(); due = this.dueAt(start)) {
        this.sent += 1;
        const update = this.update(due).finally(() => this.underWay.delete(update));
        this.underWay.add(update);
      }
    }, TICK_MS);
  }

  private dueAt(start: number): number {
    return start + (this.sent * 1000) / this.perSecond;
  }

  private async update(due: number): Promise<void> {
    const approves = this.sent % APPROVES_EVERY === 0;
    const keys = approves ? this.overdue : this.running;
    const { tenantId, projectId, id } = keys[this.sent % keys.length] as Key;
    await this.pool.query({
      name: approves ? 'approve' : 'go on',
      text: `UPDATE workflow_executions SET updated_at = now()${approves ? `, status = 'running'` : ''}
              WHERE tenant_id = $1 AND project_id = $2 AND id = $3${approves ? ` AND status = 'suspended'` : ''}`,
      values: [tenantId, projectId, id],
    });
    this.latencies.push(performance.now() - due);
  }
}

/** In random order. */
async function keysOf(url: string, condition: string): Promise<Key[]> {
  return withClient(url, async (client) => {
    const { rows } = await client.query(
      `SELECT tenant_id AS "tenantId", project_id AS "projectId", id FROM workflow_executions
        WHERE ${condition} ORDER BY md5(id) LIMIT 100000`,
    );
    return rows;
  });
}
