import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createDatabase, dropDatabase } from './support/databases.js';
import { sendExactly } from './support/exact-request.js';
import { Host } from './support/host.js';
import { Issuer } from './support/issuer.js';
import { ADMIN_KEY, Lapse } from './support/lapse.js';

const issuer = await Issuer.start();
let databaseUrl: string;
let lapse: Lapse;
let host: Host;

beforeAll(async () => {
  databaseUrl = await createDatabase('nothing', 'LATIN1');
  lapse = await Lapse.start(databaseUrl, {
    ...issuer.environment,
    LAPSE_CREATE_WATCHED_TABLES: 'true',
    LAPSE_TRUSTED_PROXIES: 'loopback',
  });
  host = new Host(databaseUrl);
});
afterAll(async () => {
  issuer.stop();
  await Lapse.stopAll();
  await host?.stop();
  await dropDatabase(databaseUrl);
});

/** LATIN1 has é, and neither of these. */
const UNKNOWN = ['🦊', '漢', '€', 'x…'];

const uri = encodeURIComponent;
const withTenant = (tenantId: string, method = 'GET', path = '/v1/sweeps', body?: string) =>
  sendExactly(lapse.url, {
    method,
    path,
    headers: { authorization: `Bearer ${ADMIN_KEY}`, 'x-tenant-id': Buffer.from(tenantId).toString('latin1') },
    ...(body === undefined ? {} : { body }),
  });
const withToken = async (claims: object, method: string, path: string, body?: string) =>
  lapse.send(method, path, await issuer.token({ tenant_id: 'acme', role: 'admin', ...claims }), body);

const INPUTS: Record<string, (text: string) => Promise<{ status: number; body: { code?: string; error?: string } }>> = {
  'the tenant of a sweep': (text) => lapse.post('/v1/sweeps', { tenantId: text }),
  'the project of a sweep': (text) => lapse.post('/v1/sweeps', { tenantId: 'acme', projectId: text }),
  'the agent of a dry run': (text) => lapse.post('/v1/sweeps', { agentId: text, dryRun: true }),
  'the reason of a sweep': (text) => lapse.post('/v1/sweeps', { reason: text }),
  'the name of a key': (text) => lapse.post('/v1/api-keys', { name: text, role: 'viewer' }),
  'the tenant of a key': (text) => lapse.post('/v1/api-keys', { name: 'x', role: 'viewer', tenantId: text }),
  'a header': (text) => withTenant(text),
  'a header of a sweep': (text) => withTenant(text, 'POST', '/v1/sweeps', '{}'),
  'a header of a drop-in route': (text) => withTenant(text, 'POST', '/run/api/workflows/cleanup-stale', '{}'),
  'the tenant of a list': (text) => lapse.get(`/v1/timeouts?tenantId=${uri(text)}`),
  'a tool name': (text) => lapse.get(`/v1/timeouts?toolName=${uri(text)}`),
  'an agent': (text) => lapse.get(`/v1/executions?agentId=${uri(text)}`),
  'a conversation': (text) => lapse.get(`/v1/executions?tenantId=acme&projectId=p&conversationId=${uri(text)}`),
  'the tenant of failures': (text) => lapse.get(`/v1/failures?tenantId=${uri(text)}`),
  'the tenant of the backlog': (text) => lapse.get(`/v1/backlog?tenantId=${uri(text)}`),
  'an action': (text) => lapse.get(`/v1/audit-log?action=${uri(text)}`),
  'a principal': (text) => lapse.get(`/v1/audit-log?principalId=${uri(text)}`),
  'an execution of a path': (text) => lapse.get(`/v1/tenants/acme/projects/p/executions/${uri(text)}`),
  'a conversation of a path': (text) =>
    lapse.get(`/v1/tenants/acme/projects/p/conversations/${uri(text)}/pending-approvals`),
  'a conversation of a drop-in path': (text) =>
    withTenant('acme', 'GET', `/run/api/conversations/${uri(text)}/pending-approvals?projectId=p`),
  'the tenant of a token': (text) => withToken({ tenant_id: text }, 'GET', '/v1/executions'),
  'the tenant of a token that sweeps': (text) => withToken({ tenant_id: text }, 'POST', '/v1/sweeps', '{}'),
  'the subject of a token that sweeps': (text) => withToken({ sub: text }, 'POST', '/v1/sweeps', '{}'),
  'the subject of a token that makes a key': (text) =>
    withToken({ sub: text }, 'POST', '/v1/api-keys', '{"name": "x", "role": "viewer"}'),
  'the end user of a token': (text) =>
    withToken({ role: 'end-user', sub: text }, 'GET', '/run/api/conversations/c/pending-approvals?projectId=p'),
  'the tenant of a CSV': (text) =>
    lapse.send('GET', `/v1/timeouts?tenantId=${uri(text)}`, ADMIN_KEY, undefined, { accept: 'text/csv' }),
};

test.each(Object.entries(INPUTS))(
  'a character that the encoding of the database lacks is refused in %s',
  async (_place, send) => {
    for (const text of [...UNKNOWN, '漢'.repeat(100)]) {
      const { status, body } = await send(text);
      expect([text, status, body.code ?? body.error]).toEqual([
        text,
        400,
        expect.stringMatching(/^character_not_storable$|encoding of the database/),
      ]);
    }
  },
);

test('a character that it has is a character like any other', async () => {
  await host.suspend({ id: 'é', tenantId: 'café', minutes: 31 });
  const { body } = await withTenant('café', 'POST', '/v1/sweeps', '{"reason": "naïve"}');
  expect([body.scope.tenantId, body.reason, body.counts.timedOut]).toEqual(['café', 'naïve', 1]);
  expect((await lapse.get('/v1/timeouts')).body.items[0]).toMatchObject({ tenantId: 'café', executionId: 'é' });
});

test('one question that can not be asked does not spoil those that are asked with it', async () => {
  await host.pool.query(`INSERT INTO conversations (tenant_id, project_id, id) VALUES ('acme', 'p', 'c')`);
  const ask = (id: string) => lapse.get(`/v1/tenants/acme/projects/p/conversations/${uri(id)}/pending-approvals`);
  const answers = await Promise.all(['c', '🦊', 'c', '漢', 'c'].map(ask));
  expect(answers.map(({ status }) => status)).toEqual([200, 400, 200, 400, 200]);
});

test('a cursor with other characters is none of ours', async () => {
  expect((await lapse.get(`/v1/timeouts?cursor=${uri('🦊')}`)).body.errors[0].path).toBe('query.cursor');
});

test('a sweep of an id of any length holds its lock', async () => {
  const tenantId = 'é'.repeat(256);
  await host.suspend({ tenantId, id: 'long', minutes: 31 });
  expect((await lapse.post('/v1/sweeps', { tenantId })).body.counts?.timedOut).toBe(1);
});
