import { beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { useWorld } from './support/world.js';

const world = useWorld();

/** Whatever belongs to a tenant has its name in it, so that an answer which shows it to the other gives itself away. */
const TENANTS = ['tenant-alpha', 'tenant-beta'] as const;
type Tenant = (typeof TENANTS)[number];

interface Side {
  tenant: Tenant;
  keys: { viewer: string; operator: string; admin: string };
  /** What the tenant has got to know, and the other will try to reach. */
  sweeps: string[];
  apiKeys: string[];
  cursors: string[];
}

const sides = {} as Record<Tenant, Side>;

beforeAll(async () => {
  for (const tenant of TENANTS) {
    const [viewer, operator, admin] = await Promise.all(
      (['viewer', 'operator', 'admin'] as const).map((role) => world.lapse.createKey(role, tenant)),
    );
    sides[tenant] = { tenant, keys: { viewer, operator, admin } as Side['keys'], sweeps: [], apiKeys: [], cursors: [] };
    await converse(tenant, tenant);
    await converse(tenant, 'shared');
  }
  await world.host.pool.query(`
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'poisoned'; END $$;
    CREATE TRIGGER refuse BEFORE UPDATE ON workflow_executions FOR EACH ROW
      WHEN (old.metadata ? 'poison') EXECUTE FUNCTION refuse()`);
});

/** A conversation that waits for approval; its id may be the other tenant's too. */
async function converse(tenant: Tenant, conversation: string): Promise<void> {
  await world.host.pool.query('INSERT INTO conversations (tenant_id, project_id, id) VALUES ($1, $2, $3)', [
    tenant,
    'support',
    conversation,
  ]);
  const id = `${tenant}-${conversation}`;
  await world.host.suspend({ tenantId: tenant, id, agentId: tenant, minutes: -60 });
  await world.host.pool.query('UPDATE workflow_executions SET conversation_id = $1 WHERE id = $2', [conversation, id]);
}

const CALLS = {
  suspend: async (own: Side) => {
    await world.host.suspend({
      tenantId: own.tenant,
      id: `${own.tenant}-${Math.random()}`,
      agentId: own.tenant,
      minutes: 31,
    });
  },
  suspendPoisoned: async (own: Side) => {
    const id = `${own.tenant}-${Math.random()}`;
    await world.host.suspend({
      tenantId: own.tenant,
      id,
      agentId: own.tenant,
      minutes: 31,
      metadata: { poison: true },
    });
  },
  sweep: async (own: Side) => {
    const { body } = await world.lapse.post('/v1/sweeps', { reason: own.tenant }, own.keys.operator);
    own.sweeps.push(body.id);
    return body;
  },
  count: async (own: Side) =>
    (await world.lapse.post('/v1/sweeps', { dryRun: true, reason: own.tenant }, own.keys.operator)).body,
  sweepTheOther: async (own: Side, other: Side) =>
    (await world.lapse.post('/v1/sweeps', { tenantId: other.tenant }, own.keys.operator)).body,
  cleanUp: async (own: Side) =>
    (await world.lapse.post('/run/api/workflows/cleanup-stale', {}, own.keys.operator)).body,
  listSweeps: async (own: Side) => {
    const { body } = await world.lapse.get('/v1/sweeps?limit=1', own.keys.viewer);
    own.cursors.push(body.nextCursor ?? '');
    return body;
  },
  lookAtTheirSweep: async (own: Side, other: Side) =>
    (await world.lapse.get(`/v1/sweeps/${other.sweeps.at(-1) ?? crypto.randomUUID()}`, own.keys.viewer)).body,
  cancelTheirSweep: async (own: Side, other: Side) =>
    (await world.lapse.post(`/v1/sweeps/${other.sweeps.at(-1) ?? crypto.randomUUID()}/cancel`, {}, own.keys.operator))
      .body,
  undo: async (own: Side) => {
    const id = own.sweeps.at(-1) ?? crypto.randomUUID();
    return (await world.lapse.post(`/v1/sweeps/${id}/undo`, { reason: own.tenant }, own.keys.operator)).body;
  },
  undoTheirs: async (own: Side, other: Side) => {
    const id = other.sweeps.at(-1) ?? crypto.randomUUID();
    return (await world.lapse.post(`/v1/sweeps/${id}/undo`, { reason: own.tenant }, own.keys.operator)).body;
  },
  undoADay: async (own: Side) => {
    const [from, to] = [-1, 1].map((days) => new Date(Date.now() + days * 86_400_000).toISOString());
    return (await world.lapse.post('/v1/undo', { from, to, reason: own.tenant }, own.keys.operator)).body;
  },
  undoSweepOfPlatform: async (own: Side) => {
    const [{ sweepId = crypto.randomUUID() } = {}] = (await world.lapse.get('/v1/timeouts?limit=1', own.keys.viewer))
      .body.items;
    const undo = await world.lapse.post('/v1/undo', { sweepId, reason: own.tenant }, own.keys.operator);
    return [undo.body, (await world.lapse.get(`/v1/sweeps/${sweepId}`, own.keys.viewer)).body];
  },
  listResurrected: async (own: Side) => (await world.lapse.get('/v1/timeouts?resurrected=true', own.keys.viewer)).body,
  useTheirCursor: async (own: Side, other: Side) =>
    (await world.lapse.get(`/v1/sweeps?cursor=${other.cursors.at(-1)}`, own.keys.viewer)).body,
  makeKey: async (own: Side) => {
    const { body } = await world.lapse.post('/v1/api-keys', { name: own.tenant, role: 'viewer' }, own.keys.admin);
    own.apiKeys.push(body.id);
    return body;
  },
  makeTheirKey: async (own: Side, other: Side) =>
    (
      await world.lapse.post(
        '/v1/api-keys',
        { name: own.tenant, role: 'viewer', tenantId: other.tenant },
        own.keys.admin,
      )
    ).body,
  revokeTheirKey: async (own: Side, other: Side) =>
    (await world.lapse.delete(`/v1/api-keys/${other.apiKeys.at(-1) ?? crypto.randomUUID()}`, own.keys.admin)).body,
  listKeys: async (own: Side) => (await world.lapse.get('/v1/api-keys', own.keys.admin)).body,
  listExecutions: async (own: Side) => {
    const [waiting, failed] = await Promise.all(
      ['suspended', 'failed'].map((status) => world.lapse.get(`/v1/executions?status=${status}`, own.keys.viewer)),
    );
    return [waiting?.body, failed?.body];
  },
  lookAtTheirExecution: async (own: Side, other: Side) =>
    (
      await world.lapse.get(
        `/v1/tenants/${other.tenant}/projects/support/executions/${other.tenant}-${other.tenant}`,
        own.keys.viewer,
      )
    ).body,
  countBacklog: async (own: Side) => (await world.lapse.get('/v1/backlog', own.keys.viewer)).body,
  listTimeouts: async (own: Side) => (await world.lapse.get('/v1/timeouts', own.keys.viewer)).body,
  lookAtTheirTimeouts: async (own: Side, other: Side) =>
    (await world.lapse.get(`/v1/sweeps/${other.sweeps.at(-1) ?? crypto.randomUUID()}/timeouts`, own.keys.viewer)).body,
  listFailures: async (own: Side) => (await world.lapse.get('/v1/failures', own.keys.viewer)).body,
  readAuditLog: async (own: Side) => (await world.lapse.get('/v1/audit-log?limit=500', own.keys.admin)).body,
  askOwnConversation: async (own: Side) =>
    (
      await world.lapse.get(
        `/v1/tenants/${own.tenant}/projects/support/conversations/shared/pending-approvals`,
        own.keys.viewer,
      )
    ).body,
  askTheirConversation: async (own: Side, other: Side) =>
    (
      await world.lapse.get(
        `/v1/tenants/${other.tenant}/projects/support/conversations/${other.tenant}/pending-approvals`,
        own.keys.viewer,
      )
    ).body,
};

/** Rows that say one tenant's call touched another's: there must be none. */
async function crossings(): Promise<unknown[]> {
  const { rows } = await world.host.pool.query(`
    SELECT 'ledger' AS place, t.id FROM lapse.timeouts t JOIN lapse.sweeps s ON s.id = t.sweep_id
     WHERE s.tenant_id IS DISTINCT FROM t.tenant_id
    UNION ALL
    SELECT 'execution', s.id FROM workflow_executions e JOIN lapse.sweeps s ON s.id::text = e.metadata ->> 'sweepId'
     WHERE s.tenant_id IS DISTINCT FROM e.tenant_id
    UNION ALL
    SELECT 'sweep', s.id FROM lapse.sweeps s JOIN lapse.api_keys k ON s.requested_by = 'api-key:' || k.public_id
     WHERE s.tenant_id IS DISTINCT FROM k.tenant_id
    UNION ALL
    SELECT 'audit log', a.id FROM lapse.audit_log a JOIN lapse.api_keys k ON a.principal_id = 'api-key:' || k.public_id
     WHERE a.tenant_id IS DISTINCT FROM k.tenant_id
    UNION ALL
    SELECT 'count', s.id FROM lapse.sweeps s
     WHERE NOT dry_run AND timed_out <> (SELECT count(*) FROM lapse.timeouts t WHERE t.sweep_id = s.id)
    UNION ALL
    SELECT 'key', k.id FROM lapse.api_keys k WHERE k.created_by LIKE 'api-key:%' AND k.tenant_id <> k.name
    UNION ALL
    SELECT 'revoked', k.id FROM lapse.api_keys k WHERE k.revoked_at IS NOT NULL`);
  return rows;
}

const call = fc.constantFrom(...(Object.keys(CALLS) as (keyof typeof CALLS)[]));
const calls = fc.array(call, { minLength: 1, maxLength: 15 });

test('whatever two tenants call, in whatever order and at the same time, nothing of one reaches the other', async () => {
  await fc.assert(
    fc.asyncProperty(calls, calls, async (ofAlpha, ofBeta) => {
      const run = async (own: Side, other: Side, names: (keyof typeof CALLS)[]) => {
        for (const name of names) {
          const answer = ((await CALLS[name](own, other)) ?? {}) as { instance?: string };
          // The path is what the caller sent.
          const { instance: _path, ...told } = answer;
          expect([name, JSON.stringify(told)]).toEqual([name, expect.not.stringContaining(other.tenant)]);
        }
      };
      const { 'tenant-alpha': alpha, 'tenant-beta': beta } = sides;
      await Promise.all([run(alpha, beta, ofAlpha), run(beta, alpha, ofBeta)]);
      expect(await crossings()).toEqual([]);
    }),
    { numRuns: 25, endOnFailure: true },
  );
}, 120_000);
