import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type ExactRequest, sendExactly } from '../support/exact-request.js';
import { Issuer } from '../support/issuer.js';
import { ADMIN_KEY, CRON_SECRET } from '../support/lapse.js';
import { useWorld } from '../support/world.js';
import { faultOf, operations } from './api-document.js';
import { hostileCallsOf } from './hostile-calls.js';
import { type Call, callsOf } from './inputs.js';

const CALLS = 5_000;
const HOSTILE_CALLS = 2_500;

const issuer = await Issuer.start();
afterAll(() => issuer.stop());
const world = useWorld({ ...issuer.environment, LAPSE_TRUSTED_PROXIES: 'loopback' });

const credentials: Record<string, string> = {};

beforeAll(async () => {
  const { lapse } = world;
  Object.assign(credentials, {
    admin: await lapse.createKey('admin', 'acme'),
    operator: await lapse.createKey('operator', 'acme'),
    viewer: await lapse.createKey('viewer', 'acme'),
    endUser: await issuer.token({ tenant_id: 'acme', role: 'end-user' }),
    platform: ADMIN_KEY,
    cron: CRON_SECRET,
    wrong: 'wrong',
  });
});

/** Executions that are overdue, that wait, that fail and that are done, sweeps and keys to be looked at and ended. */
async function populate(): Promise<Record<string, string[]>> {
  const { host, lapse } = world;
  await host.suspendMany(20, 31);
  const { body: sweep } = await lapse.post('/v1/sweeps', { tenantId: 'acme', limit: 5 });
  await host.suspendMany(20, 31, 'globex');
  await host.suspend({ id: 'a/b', minutes: 5 });
  await host.suspend({ id: 'odd', minutes: 5, metadata: [1] });
  await host.suspend({ id: 'done', minutes: 5, status: 'completed' });
  await host.pool.query(`
    INSERT INTO conversations (tenant_id, project_id, id, user_id)
    SELECT DISTINCT tenant_id, project_id, conversation_id, 'ada' FROM workflow_executions ON CONFLICT DO NOTHING`);
  const { items } = (await lapse.get(`/v1/sweeps/${sweep.id}/timeouts`)).body;
  const { body: key } = await lapse.post('/v1/api-keys', { name: 'to be revoked', role: 'viewer', tenantId: 'acme' });
  return {
    tenantId: ['acme'],
    'X-Tenant-Id': ['acme'],
    'X-Inkeep-Tenant-Id': ['acme'],
    'X-Inkeep-Project-Id': ['support'],
    projectId: ['support'],
    executionId: ['1', '20', 'a/b', 'odd', 'done'],
    conversationId: ['conversation-1', 'conversation-20'],
    agentId: ['refund-agent'],
    toolName: ['issue_refund'],
    sweepId: [sweep.id],
    keyId: [key.id],
    timeoutId: items.map(({ id }: { id: string }) => id),
  };
}

let address = 0;
async function send(call: ExactRequest, credential: string | undefined) {
  address += 1;
  return sendExactly(world.lapse.url, {
    ...call,
    headers: {
      // Each from an address of its own, so that wrong credentials don't hold up the others.
      'x-forwarded-for': `10.${(address >> 16) & 255}.${(address >> 8) & 255}.${address & 255}`,
      ...(credential === undefined ? {} : { authorization: `Bearer ${credential}` }),
      ...call.headers,
    },
  });
}

test.each(operations.map((operation) => [operation.operationId, operation] as const))(
  '%s answers whatever comes as the document says',
  async (_id, operation) => {
    const known = await populate();
    const callers = fc.constantFrom(undefined, 'platform', 'platform', ...Object.keys(credentials));

    await fc.assert(
      fc.asyncProperty(callsOf(operation, known), callers, async (call, caller) => {
        const { path, headers, body } = call;
        const request = { method: operation.method, path, headers, ...(body === undefined ? {} : { body }) };
        const answer = await send(request, caller && credentials[caller]);

        expect(faultOf(operation, answer)).toBeUndefined();
        if (!call.isValid) {
          expect(answer.status).toBeGreaterThanOrEqual(400);
        } else if (answer.status === 400) {
          expect(excuseOf(call, caller, answer.body)).toBeDefined();
        }
        if (!call.isValid && caller === 'platform') {
          expect([400, 401, 404]).toContain(answer.status);
        }
      }),
      { numRuns: Math.ceil(CALLS / operations.length) },
    );
  },
  120_000,
);

test.each(operations.map((operation) => [operation.operationId, operation] as const))(
  '%s answers no 5xx to times, headers, encodings and methods that nobody should send',
  async (_id, operation) => {
    const known = await populate();
    const callers = fc.constantFrom('platform', 'platform', ...Object.keys(credentials));

    await fc.assert(
      fc.asyncProperty(hostileCallsOf(operation, known), callers, async ({ body, ...call }, caller) => {
        const answer = await send({ ...call, ...(body === undefined ? {} : { body }) }, credentials[caller]);
        expect(answer.status < 500 ? 'fine' : answer).toBe('fine');
      }),
      { numRuns: Math.ceil(HOSTILE_CALLS / operations.length) },
    );
  },
  120_000,
);

/** Why valid input can be refused all the same, by what no schema can say. */
function excuseOf(
  call: Call,
  caller: string | undefined,
  body: { detail?: string; error?: string },
): string | undefined {
  const said = body.detail ?? body.error ?? '';
  if (/only suspended executions/.test(said)) {
    return 'two parameters that exclude each other';
  }
  if (/query.to: must not be before from|body.expiresAt: must be in the future/.test(said)) {
    return 'a time that comes too early';
  }
  if (/must be later than/.test(said)) {
    return 'a period that ends before it begins';
  }
  if (/(not undefined|is required)/.test(said)) {
    return 'a member that is required because another one is missing';
  }
  return caller === 'platform' &&
    /x-tenant-id: must name the tenant/.test(said) &&
    !call.headers['X-Tenant-Id'] &&
    !call.headers['X-Inkeep-Tenant-Id']
    ? 'a path that does not name the tenant'
    : undefined;
}
