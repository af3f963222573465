import { expect, test } from '@jest/globals';
import { ConfigurationInvalidError } from './configuration.errors.js';
import { readConfiguration } from './configuration.js';
import { readLogSettings } from './log-settings.js';

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
  ['LAPSE_RATE_LIMIT', '0'],
  ['LAPSE_RATE_LIMIT', '1000001'],
  ['LAPSE_CORS_ORIGINS', '*'],
  ['LAPSE_CORS_ORIGINS', 'https://admin.example.com/'],
  ['LAPSE_CORS_ORIGINS', 'https://a.example,admin.example.com'],
  ['LAPSE_TRUSTED_PROXIES', 'true'],
  ['LAPSE_TRUSTED_PROXIES', '10.0.0.0/33'],
  ['LAPSE_TRUSTED_PROXIES', '0.0.0.0/0'],
  ['LAPSE_TRUSTED_PROXIES', '10'],
  ['LAPSE_TRUSTED_PROXIES', '10.0.0.0/'],
  ['LAPSE_TRUSTED_PROXIES', 'proxy.example.com'],
  ['LAPSE_LOG', 'logfmt'],
  ['LAPSE_LOG', 'JSON'],
  ['LAPSE_LOG_LEVEL', 'log'],
  ['LAPSE_LOG_LEVEL', 'verbose'],
  ['LAPSE_NO_SUCH_THING', '1'],
  ['CRON_SECRET', 'x'.repeat(15)],
  ['INKEEP_AGENTS_RUN_API_BYPASS_SECRET', 'x'.repeat(15)],
  ['PORT', '65536'],
  ['HOST', 'not a host'],
])('%s=%s is refused, and named', (name, value) => {
  expect(faultsOf({ [name]: value })).toEqual([expect.stringContaining(name)]);
});

test('of an unknown variable it is said which one was probably meant', () => {
  expect(faultsOf({ LAPSE_SWEEP_CORN: 'off', LAPSE_TRUSTED_PROXY: 'loopback' })).toEqual([
    expect.stringContaining('did you mean LAPSE_SWEEP_CRON?'),
    expect.stringContaining('did you mean LAPSE_TRUSTED_PROXIES?'),
  ]);
});

test("the cron secret is CRON_SECRET, else the host's second name for it, which is not looked at otherwise", () => {
  const [own, ofHost] = ['cron-secret-of-lapse', 'bypass-secret-of-the-host'];
  const secretIn = (variables: Record<string, string>) => readConfiguration({ DATABASE_URL, ...variables }).cronSecret;
  expect(secretIn({})).toBeUndefined();
  expect(secretIn({ INKEEP_AGENTS_RUN_API_BYPASS_SECRET: ofHost })).toBe(ofHost);
  expect(secretIn({ CRON_SECRET: own, INKEEP_AGENTS_RUN_API_BYPASS_SECRET: ofHost })).toBe(own);
  expect(secretIn({ CRON_SECRET: own, INKEEP_AGENTS_RUN_API_BYPASS_SECRET: 'short' })).toBe(own);
});

test('faults do not repeat what may be secret', () => {
  const faults = faultsOf({ DATABASE_URL: 'mysql://root:hunter2@x/y', LAPSE_ADMIN_KEY: 'hunter3' });
  expect(faults).toHaveLength(2);
  expect(faults.join()).not.toMatch(/hunter/);
});

const ISSUER = {
  LAPSE_JWKS_URL: 'https://id.example.com/jwks',
  LAPSE_JWT_ISSUER: 'https://id.example.com',
  LAPSE_JWT_AUDIENCE: 'lapse',
};

test('an issuer is configured as a whole, and its claims have names unless others are given', () => {
  expect(readConfiguration({ DATABASE_URL }).jwt).toBeUndefined();
  expect(readConfiguration({ DATABASE_URL, ...ISSUER }).jwt).toMatchObject({
    tenantClaim: 'tenant_id',
    roleClaim: 'role',
    endUserClaim: 'sub',
  });
  for (const name of Object.keys(ISSUER)) {
    expect(faultsOf({ ...ISSUER, [name]: '' })).toEqual([expect.stringContaining(`needs ${name}`)]);
  }
  expect(faultsOf({ LAPSE_JWT_ROLE_CLAIM: 'roles' })).toEqual([expect.stringContaining('needs LAPSE_JWKS_URL and')]);
});

test.each(['http://id.example.com/jwks', 'https://user:hunter2@id.example.com/jwks', 'ftp://id.example.com', 'jwks'])(
  'keys are not fetched from %s',
  (url) => {
    expect(faultsOf({ ...ISSUER, LAPSE_JWKS_URL: url })).toEqual([expect.stringContaining('LAPSE_JWKS_URL')]);
  },
);

test('lists are written with commas', () => {
  expect(
    readConfiguration({
      DATABASE_URL,
      LAPSE_CORS_ORIGINS: 'https://a.example, http://localhost:5173',
      LAPSE_TRUSTED_PROXIES: 'loopback,10.0.0.0/8, 2001:db8::/32',
      LAPSE_RATE_LIMIT: 'off',
    }),
  ).toMatchObject({
    corsOrigins: ['https://a.example', 'http://localhost:5173'],
    trustedProxies: ['loopback', '10.0.0.0/8', '2001:db8::/32'],
    rateLimit: undefined,
  });
});

test('the log is text without a database, else JSON, from info on, unless the environment says otherwise', () => {
  expect(readLogSettings({})).toEqual({ format: 'text', level: 'info' });
  expect(readLogSettings({ DATABASE_URL })).toEqual({ format: 'json', level: 'info' });
  expect(readLogSettings({ DATABASE_URL, LAPSE_LOG: 'text', LAPSE_LOG_LEVEL: 'warn' })).toEqual({
    format: 'text',
    level: 'warn',
  });
  // Faults of these two must be logged somehow.
  expect(readLogSettings({ LAPSE_LOG: 'xml', LAPSE_LOG_LEVEL: '' })).toEqual({ format: 'text', level: 'info' });
});

test('locks elsewhere need a database elsewhere', () => {
  expect(() => readConfiguration({ LAPSE_LOCK_DATABASE_URL: DATABASE_URL })).toThrow(/needs DATABASE_URL/);
});
