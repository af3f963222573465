import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { Lapse } from './support/lapse.js';
import { PgBouncer, pgBouncerIsInstalled } from './support/pgbouncer.js';
import { useDatabase } from './support/world.js';

/** Defaults that a database or a role may carry, each of which changes what some statement returns or whether it works. */
const HOSTILE = {
  DateStyle: `'German, DMY'`,
  IntervalStyle: `'sql_standard'`,
  TimeZone: `'Pacific/Apia'`,
  default_transaction_isolation: `'serializable'`,
  default_transaction_deferrable: 'on',
  extra_float_digits: '-15',
  bytea_output: `'escape'`,
  array_nulls: 'off',
  quote_all_identifiers: 'on',
  statement_timeout: `'3s'`,
  lock_timeout: `'1ms'`,
  idle_in_transaction_session_timeout: `'200ms'`,
  standard_conforming_strings: 'off',
  backslash_quote: 'off',
  transform_null_equals: 'on',
  enable_nestloop: 'off',
  enable_tidscan: 'off',
  enable_indexscan: 'off',
  jit_above_cost: '0',
  from_collapse_limit: '1',
  join_collapse_limit: '1',
  synchronous_commit: 'off',
  search_path: `'pg_temp'`,
};

const world = useDatabase();
let bouncer: PgBouncer | undefined;

beforeAll(async () => {
  const name = new URL(world.databaseUrl).pathname.slice(1);
  for (const [setting, value] of Object.entries(HOSTILE)) {
    await world.host.pool.query(`ALTER DATABASE ${name} SET ${setting} = ${value}`);
  }
  bouncer = pgBouncerIsInstalled ? await PgBouncer.before(world.databaseUrl, 'transaction') : undefined;
}, 60_000);
afterEach(() => Lapse.stopAll());
afterAll(() => bouncer?.stop());

const ways: [string, () => string][] = [['directly', () => world.databaseUrl]];
if (pgBouncerIsInstalled) {
  ways.push(['through PgBouncer in transaction mode', () => bouncer?.url as string]);
}

test.each(ways)(
  'hostile settings of the database change no answer: %s',
  async (_way, url) => {
    const { host } = world;
    await host.pool.query('TRUNCATE public.workflow_executions, lapse.timeouts');
    const lapse = await Lapse.start(url());
    await host.pool.query(
      `INSERT INTO public.workflow_executions (tenant_id, project_id, id, agent_id, conversation_id, status, metadata, created_at, updated_at)
       SELECT 'acme', 'support', n::text, 'refund-agent', 'conversation-' || n, 'suspended', '{"pendingToolApproval": null}',
              now() AT TIME ZONE 'UTC' - interval '31 minutes', now() AT TIME ZONE 'UTC' - interval '31 minutes'
         FROM generate_series(1, 300) n`,
    );
    await host.pool.query(
      `INSERT INTO public.conversations (tenant_id, project_id, id) VALUES ('acme', 'support', 'conversation-1') ON CONFLICT DO NOTHING`,
    );

    const key = await lapse.createKey('operator', 'acme');
    const listed = (await lapse.get('/v1/executions?limit=1', key)).body.items[0];
    const sweeps = await Promise.all(
      ['acme', 'globex', 'initech'].map((tenantId) => lapse.post('/v1/sweeps', { tenantId })),
    );
    const ledger = (await lapse.get('/v1/timeouts?limit=1', key)).body.items[0];
    const undo = await lapse.post(`/v1/sweeps/${sweeps[0]?.body.id}/undo`, { reason: 'too short' }, key);
    const answers = await Promise.all(
      [
        '/v1/sweeps',
        '/v1/failures',
        '/v1/backlog',
        '/v1/audit-log',
        '/v1/api-keys',
        '/v1/locks',
        '/health/ready',
        '/v1/tenants/acme/projects/support/conversations/conversation-1/pending-approvals',
      ].map((path) => lapse.get(path)),
    );

    expect(Date.now() - Date.parse(listed.suspendedSince)).toBeGreaterThan(30 * 60_000);
    expect(Date.now() - Date.parse(listed.suspendedSince)).toBeLessThan(40 * 60_000);
    expect(sweeps.map(({ body }) => [body.status, body.counts?.timedOut])).toEqual([
      ['succeeded', 300],
      ['succeeded', 0],
      ['succeeded', 0],
    ]);
    expect(Date.parse(ledger.deadline) - Date.parse(ledger.suspendedSince)).toBe(30 * 60_000);
    expect(undo.body).toMatchObject({ status: 'succeeded', undone: { reopened: 300 } });
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
  },
  60_000,
);
