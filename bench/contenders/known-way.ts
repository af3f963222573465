import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { assertDrained } from '../support/backlog.js';
import { openPool } from '../support/fixture.js';
import type { Contender } from './contender.js';
import { IS_OVERDUE } from './statements.js';

/** After which its rate is known; with the pause, half a million would take it three quarters of an hour. */
const STOPS_AFTER_MS = 20_000;
const CONNECTIONS = 10;

/**
 * What a service does that reads rows, changes them and saves them: selects 100, oldest first, merges the metadata of
 * each in the application, and saves ten at a time by their keys, over ten connections, until nothing is left.
 */
export const knownWay = readChangeAndSave('the known way', 0);

/** As the reference host does it: it waits 50 ms between the tens. */
export const knownWayWithPause = readChangeAndSave('the known way, pausing 50 ms', 50);

function readChangeAndSave(name: string, pauseMs: number): Contender {
  return {
    name,
    async drain(url) {
      const pool = openPool(url, CONNECTIONS);
      try {
        await Promise.all(Array.from({ length: CONNECTIONS }, () => pool.query('SELECT')));
        const start = performance.now();
        let timedOut = 0;
        let saved: number;
        do {
          saved = await timeOutNextHundred(pool, pauseMs);
          timedOut += saved;
        } while (saved > 0 && performance.now() - start < STOPS_AFTER_MS);
        return { milliseconds: performance.now() - start, timedOut };
      } finally {
        await pool.end();
      }
    },
    check: (url, backlog, timedOut) => assertDrained(url, backlog, { name, keepsLedger: false, timedOut }),
  };
}

async function timeOutNextHundred(pool: pg.Pool, pauseMs: number): Promise<number> {
  const { rows } = await pool.query(
    `SELECT * FROM workflow_executions WHERE ${IS_OVERDUE} ORDER BY updated_at LIMIT 100`,
  );
  for (let first = 0; first < rows.length; first += CONNECTIONS) {
    await Promise.all(rows.slice(first, first + CONNECTIONS).map((row) => saveTimedOut(pool, row)));
    if (pauseMs > 0) {
      await delay(pauseMs);
    }
  }
  return rows.length;
}
async function saveTimedOut(pool: pg.Pool, row: Record<string, unknown>): Promise<void> {
  const { tenant_id, project_id, id, metadata } = row;
  const merged = { ...(metadata as object), failureReason: 'approval_timeout', timedOutAt: new Date().toISOString() };
  await pool.query(
    `UPDATE workflow_executions SET status = 'failed', updated_at = $4, metadata = $5
      WHERE tenant_id = $1 AND project_id = $2 AND id = $3 RETURNING *`,
    [tenant_id, project_id, id, new Date().toISOString(), merged],
  );
}
