import { expect, test } from '@jest/globals';
import { ConfigurationInvalidError } from './configuration.errors.js';
import { readConfiguration } from './configuration.js';

const DATABASE_URL = 'postgres://lapse:secret@db.example:5432/app';

function faultsOf(variables: Record<string, string>): readonly string[] {
  try {
    readConfiguration({ DATABASE_URL, ...variables });
    return [];
  } catch (error) {
    return (error as ConfigurationInvalidError).faults;
  }
}

test('on a database of its own it plays a demo: short timeout, quick sweeps, loopback only', () => {
  expect(readConfiguration({})).toMatchObject({
    embedded: true,
    createWatchedTables: true,
    demo: true,
    approvalTimeout: 60_000,
    sweepCron: '*/5 * * * * *',
    host: '127.0.0.1',
    port: 3000,
  });
});

test('on a given database it takes the defaults of production', () => {
  expect(readConfiguration({ DATABASE_URL })).toMatchObject({
    embedded: false,
    databaseUrl: DATABASE_URL,
    lockDatabaseUrl: DATABASE_URL,
    schema: 'lapse',
    watchedSchema: 'public',
    createWatchedTables: false,
    demo: false,
    approvalTimeout: 1_800_000,
    sweepCron: '* * * * *',
    sweepBatchSize: 1000,
    sweepTimeBudget: 50_000,
    adminKey: undefined,
    cronSecret: undefined,
    docs: true,
    host: '0.0.0.0',
  });
});

test('without the demo, a database of its own has the defaults of production', () => {
  expect(readConfiguration({ LAPSE_DEMO: 'false' })).toMatchObject({
    approvalTimeout: 1_800_000,
    sweepCron: '* * * * *',
  });
});

test('a variable that is set to nothing counts as not set', () => {
  expect(readConfiguration({ DATABASE_URL: '', CRON_SECRET: '', LAPSE_ADMIN_KEY: '' })).toMatchObject({
    embedded: true,
    cronSecret: undefined,
    adminKey: undefined,
  });
});

test.each([
  ['DATABASE_URL', 'db.example/app'],
  ['DATABASE_URL', 'mysql://db.example/app'],
  ['LAPSE_APPROVAL_TIMEOUT', '30'],
  ['LAPSE_APPROVAL_TIMEOUT', '0s'],
  ['LAPSE_APPROVAL_TIMEOUT', '1500ms'],
  ['LAPSE_APPROVAL_TIMEOUT', '99999d'],
  ['LAPSE_SWEEP_CRON', 'hourly'],
  ['LAPSE_SWEEP_CRON', '@hourly'],
  ['LAPSE_SWEEP_CRON', '61 * * * *'],
  ['LAPSE_SWEEP_CRON', '* * * * * * *'],
  ['LAPSE_SWEEP_BATCH_SIZE', '10001'],
  ['LAPSE_SWEEP_TIME_BUDGET', '-1s'],
  ['LAPSE_ADMIN_KEY', 'x'.repeat(31)],
  ['LAPSE_ADMIN_KEY', `with a space${'x'.repeat(32)}`],
  ['LAPSE_SCHEMA', 'lapse"; DROP SCHEMA public; --'],
  ['LAPSE_CREATE_WATCHED_TABLES', 'yes'],
  ['LAPSE_DEMO', 'true'],
  ['LAPSE_NO_SUCH_THING', '1'],
  ['PORT', '65536'],
  ['HOST', 'not a host'],
])('%s=%s is refused, and named', (name, value) => {
  expect(faultsOf({ [name]: value })).toEqual([expect.stringContaining(name)]);
});

test('faults do not repeat what may be secret', () => {
  const faults = faultsOf({ DATABASE_URL: 'mysql://root:hunter2@x/y', LAPSE_ADMIN_KEY: 'hunter3' });
  expect(faults).toHaveLength(2);
  expect(faults.join()).not.toMatch(/hunter/);
});

test('locks elsewhere need a database elsewhere', () => {
  expect(() => readConfiguration({ LAPSE_LOCK_DATABASE_URL: DATABASE_URL })).toThrow(/needs DATABASE_URL/);
});
