import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Controller, Get, Post } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import { Audited, OpenToAll, RequiresRole } from '../src/access/access.decorators.js';
import { RouteUndeclaredError } from '../src/access/access.errors.js';
import { RouteDeclarations } from '../src/access/route-declarations.js';
import { Issuer } from './support/issuer.js';
import { ADMIN_KEY, CRON_SECRET } from './support/lapse.js';
import { routesOf } from './support/routes.js';
import { useWorld } from './support/world.js';

const issuer = await Issuer.start();
afterAll(() => issuer.stop());
const world = useWorld({ ...issuer.environment, LAPSE_TRUSTED_PROXIES: 'loopback' });

const NO_SUCH_ID = '01890000-0000-7000-8000-000000000000';

interface Row {
  needs: 'viewer' | 'operator' | 'admin' | 'platform viewer' | 'cron' | 'nothing';
  /** What somebody who may call it is answered. */
  answers: number;
  /** What an end user is answered; everything but its own conversations is 404. */
  endUser?: number;
  /** Its calls are on the audit log. */
  audited?: true;
}

/** What each route needs. A route that isn't here fails below. */
const ROUTES: Record<string, Row> = {
  'POST /v1/sweeps': { needs: 'operator', answers: 200, audited: true },
  'GET /v1/sweeps': { needs: 'viewer', answers: 200 },
  'GET /v1/sweeps/:sweepId': { needs: 'viewer', answers: 404 },
  'POST /v1/sweeps/:sweepId/cancel': { needs: 'operator', answers: 404, audited: true },
  'GET /v1/sweeps/:sweepId/events': { needs: 'viewer', answers: 404 },
  'GET /v1/sweeps/:sweepId/timeouts': { needs: 'viewer', answers: 404 },
  'GET /v1/timeouts': { needs: 'viewer', answers: 200 },
  'POST /v1/timeouts/:timeoutId/reopen': { needs: 'operator', answers: 400, audited: true },
  'POST /v1/undo': { needs: 'operator', answers: 400, audited: true },
  'POST /v1/sweeps/:sweepId/undo': { needs: 'operator', answers: 400, audited: true },
  'GET /v1/failures': { needs: 'viewer', answers: 200 },
  'GET /v1/backlog': { needs: 'viewer', answers: 200 },
  'GET /v1/executions': { needs: 'viewer', answers: 200 },
  'GET /v1/tenants/:tenantId/projects/:projectId/executions/:executionId': { needs: 'viewer', answers: 404 },
  'GET /v1/tenants/:tenantId/projects/:projectId/conversations/:conversationId/pending-approvals': {
    needs: 'viewer',
    answers: 200,
    endUser: 200,
  },
  'GET /v1/locks': { needs: 'platform viewer', answers: 200 },
  'GET /v1/audit-log': { needs: 'admin', answers: 200 },
  'POST /v1/api-keys': { needs: 'admin', answers: 400, audited: true },
  'GET /v1/api-keys': { needs: 'admin', answers: 200 },
  'DELETE /v1/api-keys/:keyId': { needs: 'admin', answers: 404, audited: true },
  'POST /run/api/workflows/cleanup-stale': { needs: 'operator', answers: 200, audited: true },
  'GET /run/api/conversations/:conversationId/pending-approvals': { needs: 'viewer', answers: 400, endUser: 400 },
  'GET /run/v1/conversations/:conversationId/pending-approvals': { needs: 'viewer', answers: 400, endUser: 400 },
  'GET /api/cron/cleanup-stale-workflows': { needs: 'cron', answers: 200, audited: true },
  'GET /': { needs: 'nothing', answers: 200 },
  'GET /health/live': { needs: 'nothing', answers: 200 },
  'GET /health/ready': { needs: 'nothing', answers: 200 },
  'GET /docs': { needs: 'nothing', answers: 200 },
  'GET /openapi.json': { needs: 'nothing', answers: 200 },
  'GET /openapi.yaml': { needs: 'nothing', answers: 200 },
};

type Role = 'viewer' | 'operator' | 'admin';
type Kind = 'nobody' | 'cron' | 'end-user' | Role | `platform ${Role}`;

/** Another subject for each token, whose refusals are on record by themselves. */
let subjects = 0;
function someone(): string {
  subjects += 1;
  return `subject-${subjects}`;
}

/** Every kind of caller: what it presents, and what that should make it. */
const CALLERS: [who: string, kind: Kind, credential: () => Promise<string | null> | string | null][] = [
  ['nobody', 'nobody', () => null],
  ['a wrong key', 'nobody', () => 'wrong'],
  ['a key that was revoked', 'nobody', revokedKey],
  ['a key that has expired', 'nobody', expiredKey],
  ['a key that was deleted together with its tenant', 'nobody', deletedKey],
  ['an expired token', 'nobody', () => issuer.token({ tenant_id: 'acme', role: 'admin' }, { expiresIn: -31 })],
  ['a token of no tenant', 'nobody', () => issuer.token({ role: 'admin' })],
  ['the cron secret', 'cron', () => CRON_SECRET],
  [
    'an end user of the tenant',
    'end-user',
    () => issuer.token({ tenant_id: 'acme', role: 'end-user', sub: someone() }),
  ],
  ...(['viewer', 'operator', 'admin'] as const).flatMap((role): typeof CALLERS => [
    [`a key of the tenant (${role})`, role, () => world.lapse.createKey(role, 'acme')],
    [`a token of the tenant (${role})`, role, () => issuer.token({ tenant_id: 'acme', role, sub: someone() })],
    [`a key of the platform (${role})`, `platform ${role}`, () => world.lapse.createKey(role)],
  ]),
  ['LAPSE_ADMIN_KEY', 'platform admin', () => ADMIN_KEY],
];

async function revokedKey(): Promise<string> {
  const { body } = await world.lapse.post('/v1/api-keys', { name: 'revoked', role: 'admin' });
  await world.lapse.delete(`/v1/api-keys/${body.id}`);
  return body.key;
}

async function expiredKey(): Promise<string> {
  const { body } = await world.lapse.post('/v1/api-keys', {
    name: 'expired',
    role: 'admin',
    expiresAt: '2099-01-01T00:00:00Z',
  });
  await world.host.pool.query(`UPDATE lapse.api_keys SET expires_at = now() WHERE id = $1`, [body.id]);
  return body.key;
}

async function deletedKey(): Promise<string> {
  const key = await world.lapse.createKey('admin', 'gone');
  await world.host.pool.query(`DELETE FROM lapse.api_keys WHERE tenant_id = 'gone'`);
  return key;
}

function expectedStatus({ needs, answers, endUser = 404 }: Row, kind: Kind): number {
  if (needs === 'nothing') {
    return answers;
  }
  if (needs === 'cron' || kind === 'cron' || kind === 'nobody') {
    return needs === kind ? answers : 401;
  }
  if (kind === 'end-user') {
    return endUser;
  }
  const rank = (word: string) => ['viewer', 'operator', 'admin'].indexOf(word.replace('platform ', ''));
  const isAllowed = rank(kind) >= rank(needs) && (!needs.startsWith('platform') || kind.startsWith('platform'));
  return isAllowed ? answers : 403;
}

/** Every call comes from an address of its own, so that those that must fail don't hold up one another. */
let address = 0;
function call(route: string, credential: string | null, headers: Record<string, string> = {}) {
  address += 1;
  const [method, path] = route
    .replace(':tenantId', 'acme')
    .replace(':projectId', 'support')
    .replace(':conversationId', 'talk')
    .replace(/:\w+/, NO_SUCH_ID)
    .split(' ') as [string, string];
  return world.lapse.send(method, path, credential, method === 'POST' ? '{}' : undefined, {
    'x-forwarded-for': `10.1.${address >> 8}.${address & 255}`,
    ...headers,
  });
}

async function recordsOf(headers: Headers) {
  const { rows } = await world.host.pool.query(
    'SELECT outcome, principal_kind, tenant_id, address, code FROM lapse.audit_log WHERE request_id = $1',
    [headers.get('x-request-id')],
  );
  return rows;
}

beforeAll(async () => {
  await world.host.pool.query(
    `INSERT INTO conversations (tenant_id, project_id, id) VALUES ('acme', 'support', 'talk')`,
  );
});

test('every route that the application serves has a row in the table of what it needs', () => {
  expect(routesOf(world.lapse.app)).toEqual(Object.keys(ROUTES).sort());
});

test.each(Object.entries(ROUTES))(
  '%s answers every caller as it should, and puts changes on record',
  async (route, row) => {
    for (const [who, kind, credential] of CALLERS) {
      const { status, headers, body } = await call(route, await credential());
      expect([who, status]).toEqual([who, expectedStatus(row, kind)]);
      const records = await recordsOf(headers);
      const outcome = status < 300 ? 'done' : 'refused';
      expect([who, records.map((record) => record.outcome)]).toEqual([who, row.audited ? [outcome] : []]);
      if (status === 401) {
        expect(body.detail ?? body.error).toBe('Send a valid credential as "Authorization: Bearer <key>"');
      }
      if (status === 403 && !row.needs.startsWith('platform')) {
        expect(body.detail ?? body.error).toContain(`"${row.needs}"`);
      }
    }
  },
);

const SCOPED = Object.entries(ROUTES).filter(([, { needs }]) => ['viewer', 'operator', 'admin'].includes(needs));

test.each(SCOPED)('%s of another tenant is answered as that of a tenant that does not exist', async (route) => {
  const foreigner = await world.lapse.createKey('admin', 'globex');
  const places = [
    [route, { 'x-tenant-id': 'acme' }, { 'x-tenant-id': 'nobody' }],
    [`${route}?tenantId=acme`, {}, undefined],
  ] as const;
  for (const [asked, existing, missing] of places) {
    const [one, other] = [
      await call(asked, foreigner, existing),
      await call(asked.replace('acme', 'nobody'), foreigner, missing),
    ];
    expect([one.status, one.body.code ?? 'drop-in']).toEqual([
      404,
      route.includes('/run/v1/') ? 'not_found' : route.includes('/run/') ? 'drop-in' : 'tenant_not_found',
    ]);
    const told = ({ requestId: _requestId, ...rest }: Record<string, unknown>) => rest;
    expect(told(one.body)).toEqual(told(other.body));
  }
});

test('a tenant in the body, and one in the path, is looked at too', async () => {
  const { lapse } = world;
  const foreigner = await lapse.createKey('admin', 'globex');
  await world.host.suspendMany(1, 31, 'acme');
  expect((await lapse.post('/v1/sweeps', { tenantId: 'acme' }, foreigner)).body.code).toBe('tenant_not_found');
  const path = '/v1/tenants/acme/projects/support/conversations/talk/pending-approvals';
  expect((await lapse.get(path, foreigner)).body.code).toBe('tenant_not_found');
  expect(await world.host.count('suspended')).toBe(1);
});

test('of two tenants that one request names, even the platform sees neither', async () => {
  const { status } = await world.lapse.send('GET', '/v1/sweeps?tenantId=acme', ADMIN_KEY, undefined, {
    'x-tenant-id': 'globex',
  });
  expect(status).toBe(404);
});

test('a header narrows what a credential of the platform does', async () => {
  const { lapse, host } = world;
  await host.suspendMany(2, 31, 'acme');
  await host.suspendMany(3, 31, 'globex');
  const narrowed = { 'x-tenant-id': 'globex' };
  const { body } = await lapse.send('POST', '/run/api/workflows/cleanup-stale', ADMIN_KEY, '{}', narrowed);
  expect(body).toEqual({ cleanedUp: 3, failed: 0, total: 3 });
  expect(await host.count('suspended')).toBe(2);
});

test('a cursor opens nothing for another principal, with another filter, or in another scope', async () => {
  const { lapse } = world;
  const [ada, bob] = [await lapse.createKey('admin', 'acme'), await lapse.createKey('admin', 'acme')];
  const { nextCursor } = (await lapse.get('/v1/api-keys?limit=1', ada)).body;

  expect((await lapse.get(`/v1/api-keys?limit=5&cursor=${nextCursor}`, ada)).status).toBe(200);
  for (const [path, key] of [
    [`/v1/api-keys?cursor=${nextCursor}`, bob],
    [`/v1/api-keys?cursor=${nextCursor}`, ADMIN_KEY],
    [`/v1/sweeps?cursor=${nextCursor}`, ada],
    [`/v1/audit-log?outcome=done&cursor=${nextCursor}`, ada],
    [`/v1/api-keys?cursor=${nextCursor.slice(0, -1)}`, ada],
  ] as const) {
    const { status, body } = await lapse.get(path, key);
    expect([path, status, body.errors?.[0].path]).toEqual([path, 400, 'query.cursor']);
  }
});

test('a route that declares nothing, or changes something off the record, stops the boot', async () => {
  @Controller('declared')
  class Declared {
    @Get() @OpenToAll() open(): void {}
    @Post() @RequiresRole('operator') @Audited('thing.change') change(): void {}
  }
  @Controller('forgotten')
  class Forgotten {
    @Get() secret(): void {}
    @Post() @RequiresRole('operator') quiet(): void {}
  }
  const withRoutes = (...controllers: (typeof Declared | typeof Forgotten)[]) =>
    Test.createTestingModule({ imports: [DiscoveryModule], controllers, providers: [RouteDeclarations] })
      .compile()
      .then((module) => module.init());

  await expect(withRoutes(Declared, Forgotten)).rejects.toThrow(
    new RouteUndeclaredError(['Forgotten.secret'], ['Forgotten.quiet']),
  );
  await (await withRoutes(Declared)).close();
});
