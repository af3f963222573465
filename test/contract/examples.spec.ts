import { isDeepStrictEqual } from 'node:util';
import { expect, test } from '@jest/globals';
import { AdvisoryLockService } from '../../src/locks/advisory-lock.service.js';
import { DatabaseProxy } from '../support/database-proxy.js';
import { sendExactly } from '../support/exact-request.js';
import { ADMIN_KEY, CRON_SECRET, Lapse } from '../support/lapse.js';
import { useWorld } from '../support/world.js';
import {
  apiDocument,
  bodyOf,
  faultOf,
  type Operation,
  operations,
  resolved,
  responseOf,
  type Schema,
} from './api-document.js';

const world = useWorld({ LAPSE_TRUSTED_PROXIES: 'loopback' });

/** What differs from machine to machine. */
const OF_THE_MACHINE = ['HeldLock.applicationName', 'HeldLock.clientAddress', 'HeldLock.pid'];

const BEFORE: Record<string, (known: Record<string, string>) => Promise<unknown>> = {
  getBacklog: async () => {
    await suspend(1, 31, 'exec_p9s0');
    await suspend(2, 31, 'overdue');
    await suspend(7, 0.5, 'young');
    await suspend(2, 10, 'older');
  },
  getExecution: () => suspend(1, 5, 'exec_p9s0'),
  getPendingApproval: () => suspend(1, 5, 'exec_p9s0'),
  pendingApprovals: () => suspend(1, 5, 'exec_p9s0'),
  hostPendingApprovals: () => suspend(1, 5, 'exec_p9s0'),
  listExecutions: () => suspend(1, 5, 'exec_p9s0'),
  listFailures: async () => {
    const { host, lapse } = world;
    await suspend(1, 31, 'exec_p9s0');
    await host.pool.query(`
      CREATE FUNCTION frozen() RETURNS trigger LANGUAGE plpgsql
        AS $$ BEGIN RAISE 'executions of this agent are frozen'; END $$;
      CREATE TRIGGER frozen BEFORE UPDATE ON workflow_executions FOR EACH ROW EXECUTE FUNCTION frozen()`);
    for (let attempt = 1; attempt <= 3; attempt += 1) {
      await lapse.post('/v1/sweeps');
      await host.pool.query('UPDATE lapse.failures SET next_try_at = now()');
    }
    await host.pool.query('DROP FUNCTION frozen() CASCADE');
  },
  listAuditLog: () =>
    sendExactly(world.lapse.url, {
      method: 'POST',
      path: '/v1/sweeps',
      headers: { authorization: `Bearer ${ADMIN_KEY}`, 'x-forwarded-for': '10.0.3.17' },
      body: '{"dryRun":true}',
    }),
  undoSweep: async (known) => {
    await suspend(12, 61, 'exec_p9s0');
    known.sweepId = (await world.lapse.post('/v1/sweeps', {})).body.id;
  },
  reopenTimeout: async (known) => {
    await suspend(1, 61, 'exec_p9s0');
    await world.lapse.post('/v1/sweeps', {});
    known.timeoutId = (await world.lapse.get('/v1/timeouts')).body.items[0].id;
  },
  cancelSweep: async (known) => {
    await suspend(12, 31, 'exec_p9s0');
    await world.host.slowDown(0.2);
    known.sweepId = (await world.lapse.post('/v1/sweeps?wait=0')).body.id;
  },
};

/** So many executions that have waited so long, the first of them with this id and in the conversation of the examples. */
async function suspend(count: number, minutes: number, id: string): Promise<void> {
  const approval = { toolCallId: 'call_7d1f', toolName: 'issue_refund', args: { amount: 12.5 }, isDelegated: false };
  await world.host.pool.query(
    `INSERT INTO workflow_executions (tenant_id, project_id, id, agent_id, conversation_id, status, metadata, created_at, updated_at)
     SELECT 'acme', 'support', CASE n WHEN 1 THEN $1 ELSE $1 || n END, 'refund-agent', 'conv_x4b2', 'suspended', $2,
            moment, moment
       FROM generate_series(1, $3::int) n, LATERAL (SELECT now() - $4::float * interval '1 minute' - n * interval '1 ms') AS at (moment)`,
    [id, { pendingToolApproval: approval }, count, minutes],
  );
}

async function prepare(operation: Operation): Promise<Record<string, string>> {
  const { lapse, host } = world;
  const known: Record<string, string> = {};
  await host.pool.query(
    `INSERT INTO conversations (tenant_id, project_id, id) VALUES ('acme', 'support', 'conv_x4b2') ON CONFLICT DO NOTHING`,
  );
  const prepareIt = BEFORE[operation.operationId];
  if (prepareIt) {
    await prepareIt(known);
    return known;
  }
  await suspend(12, 61, 'exec_p9s0');
  if (operation.method === 'GET' && !operation.path.includes('cron')) {
    known.sweepId = (await lapse.post('/v1/sweeps', { tenantId: 'acme', limit: 12 })).body.id;
  }
  if (operation.operationId === 'revokeApiKey') {
    known.keyId = (await lapse.post('/v1/api-keys', { name: 'nightly report', role: 'viewer' })).body.id;
  }
  return known;
}

/** The call that Swagger UI makes where nothing is typed but the ids of what was found before. */
function callOf(operation: Operation, known: Record<string, string>, body: unknown) {
  const given = operation.parameters.flatMap((parameter) => {
    const value = known[parameter.name] ?? parameter.schema.example;
    return value === undefined ? [] : [{ ...parameter, value: String(value) }];
  });
  const path = given
    .filter((parameter) => parameter.in === 'path')
    .reduce((path, { name, value }) => path.replace(`{${name}}`, encodeURIComponent(value)), operation.path);
  const query = given.filter((parameter) => parameter.in === 'query').map(({ name, value }) => `${name}=${value}`);
  return {
    method: operation.method,
    path: query.length > 0 ? `${path}?${query.join('&')}` : path,
    headers: Object.fromEntries(given.flatMap((one) => (one.in === 'header' ? [[one.name, one.value]] : []))),
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  };
}

function exampleBodies(operation: Operation): [name: string, body: unknown][] {
  const content = bodyOf(operation);
  if (!content) {
    return [['without a body', undefined]];
  }
  const members = Object.entries(resolved(content.schema).properties ?? {});
  const examples = members.flatMap(([name, { example }]) => (example === undefined ? [] : [[name, example]]));
  return [
    ['with the examples of its members', Object.fromEntries(examples)],
    ...Object.entries(content.examples ?? {}).map(([name, { value }]): [string, unknown] => [`"${name}"`, value]),
  ];
}

/** Each documented example of a value that is another in the answer, and isn't what was asked for either. */
function untrueExamples(schema: Schema, value: unknown, asked?: Record<string, unknown>, where = ''): string[] {
  const { properties, items } = resolved(schema);
  const name = schema.$ref?.split('/').pop() ?? where;
  if (Array.isArray(value)) {
    // The first stands for all.
    return items && value.length > 0 ? untrueExamples(items, value[0], asked, where) : [];
  }
  if (!properties || typeof value !== 'object' || value === null) {
    return [];
  }
  return Object.entries(properties).flatMap(([member, property]) => {
    const found = (value as Record<string, unknown>)[member];
    const path = `${name}.${member}`;
    const isAsked = asked !== undefined && isDeepStrictEqual(found, asked[member]);
    const isUntrue =
      !isAsked &&
      'example' in property &&
      !OF_THE_MACHINE.includes(path) &&
      !isDeepStrictEqual(found, property.example);
    return isUntrue ? [`${path} is ${JSON.stringify(found)}`] : untrueExamples(property, found, asked, path);
  });
}

async function keyFor({ operationId }: Operation): Promise<string> {
  if (['pendingApprovals', 'hostPendingApprovals'].includes(operationId)) {
    return world.lapse.createKey('viewer', 'acme');
  }
  return operationId === 'cronCleanupStaleWorkflows' ? CRON_SECRET : ADMIN_KEY;
}

const examples = operations.flatMap((operation) =>
  exampleBodies(operation).map(([name, body]) => [operation.operationId, name, operation, body] as const),
);

test.each(examples)('%s %s answers what the document shows', async (_id, _name, operation, body) => {
  const known = await prepare(operation);
  const call = callOf(operation, known, body);
  const key = await keyFor(operation);
  const send = () =>
    sendExactly(world.lapse.url, {
      ...call,
      headers: { ...call.headers, authorization: `Bearer ${key}`, 'x-forwarded-for': '10.0.3.17' },
    });
  const locks = world.lapse.app.get(AdvisoryLockService);
  const answer = await (operation.operationId === 'listLocks'
    ? locks.withLock({ name: 'sweep', onBusy: 'skip' }, send)
    : send());
  await world.host.speedUp();

  expect(answer).toMatchObject({ status: expect.any(Number) });
  const { status, headers, body: found } = answer as Awaited<ReturnType<typeof send>>;
  expect([status, found]).toEqual([Number(Object.keys(operation.responses).find((code) => code < '300')), found]);
  expect(faultOf(operation, { status, headers, body: found })).toBeUndefined();
  const schema = Object.entries(responseOf(operation, status)?.content ?? {})[0]?.[1].schema ?? {};
  // A sweep that goes on has no counts yet that could be foreseen; those of the examples are of no undo.
  expect(
    status === 202 || found.kind === 'undo' ? [] : untrueExamples(schema, found, body as Record<string, unknown>),
  ).toEqual([]);
});

const REQUEST_ID = '2edb11b7-2a68-4537-9490-ecbe0609831c';
const SWEEP_ID = '01890000-0000-7000-8000-000000000000';

const PROBLEMS: Record<string, (send: typeof sendAs) => ReturnType<typeof sendAs>> = {
  BadRequest: (send) => send(world.lapse, 'GET /v1/sweeps?limit=0'),
  Unauthorized: (send) => send(world.lapse, 'GET /v1/sweeps', ''),
  Forbidden: async (send) => send(world.lapse, 'POST /v1/sweeps', await world.lapse.createKey('viewer', 'acme')),
  NotFound: (send) => send(world.lapse, `GET /v1/sweeps/${SWEEP_ID}`),
  Conflict: async (send) => {
    const { body } = await world.lapse.post('/v1/sweeps');
    await world.host.pool.query('UPDATE lapse.sweeps SET id = $1 WHERE id = $2', [SWEEP_ID, body.id]);
    return send(world.lapse, `POST /v1/sweeps/${SWEEP_ID}/cancel`);
  },
  TooManyRequests: async (send) => {
    const limited = await Lapse.start(world.databaseUrl, { LAPSE_RATE_LIMIT: '1200' });
    for (let calls = 0; calls < 1_200; calls += 100) {
      await Promise.all(Array.from({ length: 100 }, () => send(limited, 'GET /v1/sweeps')));
    }
    return send(limited, 'GET /v1/sweeps');
  },
  ServiceUnavailable: async (send) => {
    const proxy = await DatabaseProxy.to(world.databaseUrl);
    const cutOff = await Lapse.start(proxy.url);
    proxy.cut();
    return send(cutOff, 'GET /v1/sweeps');
  },
};

function sendAs(lapse: Lapse, call: string, key = ADMIN_KEY) {
  const [method, path] = call.split(' ') as [string, string];
  return lapse.send(method, path, key, undefined, { 'x-request-id': REQUEST_ID });
}

test.each(Object.keys(apiDocument.components.responses))('%s is answered as its example says', async (name) => {
  const { body } = await (PROBLEMS[name] as (typeof PROBLEMS)[string])(sendAs);
  const example = apiDocument.components.responses[name]?.content?.['application/problem+json']?.example;
  const timeless = (problem: unknown) => JSON.parse(JSON.stringify(problem).replace(/again in \d+ s/, 'again in N s'));
  expect(timeless(body)).toEqual(timeless(example));
});
