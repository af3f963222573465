import 'reflect-metadata';
import pg from 'pg';
import type { LockImplementation, LocksUnderTest } from './lock-contract.js';

/** Started by lock-process.ts: a replica that counts or holds under a lock as it is told. */
type Order = { open: string } | { count: number; databaseUrl: string } | { hold: string };

const [module] = process.argv.slice(2) as [string];
const { openLocks } = (await import(module)) as LockImplementation;
let locks: LocksUnderTest | undefined;

process.once('SIGTERM', () => void locks?.close().then(() => process.disconnect()));
process.on('message', (order: Order) => {
  if ('open' in order) {
    return open(order.open);
  }
  return 'count' in order ? count(order.databaseUrl, order.count) : hold(order.hold);
});

async function open(url: string): Promise<void> {
  await locks?.close();
  locks = await openLocks(url);
  say('opened');
}

/** Reads, and writes one more five milliseconds later: without the lock, what others wrote meanwhile is lost. */
async function count(databaseUrl: string, times: number): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  for (let time = 0; time < times; time += 1) {
    await locks?.withLock({ name: 'counter', onBusy: 'wait', waitFor: '80s' }, async () => {
      const { rows } = await client.query('SELECT n, pg_sleep(0.005) FROM counter');
      await client.query('UPDATE counter SET n = $1', [rows[0].n + 1]);
    });
  }
  await client.end();
  say('counted');
}

async function hold(name: string): Promise<void> {
  await locks?.withLock({ name, onBusy: 'skip' }, async (signal) => {
    say('held');
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    say(`stopped: ${signal.reason.name}`);
  });
}

function say(word: string): void {
  process.send?.(word);
}
