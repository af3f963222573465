import { beforeEach, expect, test } from '@jest/globals';
import { parse } from 'csv-parse/sync';
import { AdvisoryLockService } from '../src/locks/advisory-lock.service.js';
import { operations, resolved, responseOf, type Schema } from './contract/api-document.js';
import { ADMIN_KEY } from './support/lapse.js';
import { useWorld } from './support/world.js';

const world = useWorld();

const LISTS = operations.filter(({ method, responses }) => {
  const schema = responses[200]?.content?.['application/json']?.schema;
  return method === 'GET' && schema !== undefined && 'nextCursor' in (resolved(schema).properties ?? {});
});

const csv = (path: string, headers: Record<string, string> = {}) =>
  world.lapse.send('GET', path, ADMIN_KEY, undefined, { accept: 'text/csv', ...headers });

/** As another program reads it: any line break ends a row, nothing is trimmed, and every row must have as many fields as the header. */
const rowsOf = (text: string): Record<string, string>[] =>
  parse(text, { columns: true, record_delimiter: ['\r\n', '\n', '\r'] });

/** What each character does to a table: ends a line, a field or a file, is trimmed, dropped, or begins a formula. */
const ODD = [
  ...['a\nb', 'a\rb', 'a\r\nb', '\n', '\r', 'a,b', 'a;b', 'a\tb', '"', 'a"b', '""', '\\', '\\"', "'", ' a ', '\u00a0a'],
  ...['\u2028', '\u2029', '\u0085', '\v\f', '\u0001', '\u001a', '\ufeffa', '\u200b', '\u202e', '🦊', 'é', 'null'],
];

const FORMULAS = [
  ...[
    '=1+1',
    '+1',
    '-1',
    '@SUM(1)',
    '＝1',
    '＋1',
    '－1',
    '＠a',
    '﹢1',
    '−1',
    ' =1',
    '\t=1',
    '\r=1',
    '\n=1',
    '\u00a0=1',
  ],
  ...[
    '\u3000＝1',
    '\ufeff=1',
    '\u200b\u2060=1',
    '\u0001=1',
    '\u0085=1',
    '\u2028=1',
    '\u202e=1',
    '\u0301=1',
    '\u00ad@a',
  ],
  ...['\u3164=1', '\u2800=1', '\u180e=1', '\u{e0001}=1', '=HYPERLINK("http://a.example",\n"b")'],
];

/** Every text of a list that somebody else chooses. */
async function store(texts: readonly string[]): Promise<void> {
  const { pool } = world.host;
  for (const [n, text] of texts.entries()) {
    await pool.query(
      `INSERT INTO workflow_executions (tenant_id, project_id, id, agent_id, conversation_id, request_id, status, metadata, updated_at)
       VALUES ('acme', $1, $2, $1, $1, $1, 'suspended', jsonb_build_object('pendingToolApproval', $3::jsonb), now() - interval '1 hour')`,
      [text, String(n), { toolCallId: text, toolName: text, args: { [text]: text } }],
    );
    await pool.query(
      `INSERT INTO lapse.failures (tenant_id, project_id, execution_id, last_reason, sqlstate, last_sweep_id, next_try_at)
       VALUES ('acme', $1, $2, $1, 'P0001', gen_random_uuid(), now())`,
      [text, String(n)],
    );
    await pool.query(
      `INSERT INTO lapse.sweeps (trigger, tenant_id, project_id, agent_id, dry_run, timeout_seconds, reason, requested_by, lock_name, status, error, started_at, finished_at)
       VALUES ('api', 'acme', $1, $1, true, 60, $1, $1, 'sweep', 'failed', $1, now(), now())`,
      [text],
    );
    await pool.query(
      `INSERT INTO lapse.timeouts (sweep_id, tenant_id, project_id, execution_id, agent_id, conversation_id, tool_call_id, tool_name,
         suspended_since, deadline, timed_out_at, reopened_at, reopened_by, reopen_reason)
       VALUES ('01890000-0000-7000-8000-000000000000', 'acme', $1, $1, $1, $1, $1, $1, now(), now(), now(), now(), $1, $1)`,
      [text],
    );
    await pool.query(
      `INSERT INTO lapse.api_keys (public_id, secret_hash, name, tenant_id, role, created_by)
       VALUES (gen_random_uuid(), sha256(''), $1, 'acme', 'viewer', $1)`,
      [text],
    );
    await pool.query(
      `INSERT INTO lapse.audit_log (tenant_id, principal_kind, principal_id, address, action, target, outcome, request_id, details)
       VALUES ('acme', $1, $1, $1, $1, $1, 'done', $1, jsonb_build_object('text', $1::text))`,
      [text],
    );
  }
  await pool.query(
    `INSERT INTO lapse.sweeps (id, trigger, tenant_id, dry_run, timeout_seconds, requested_by, lock_name, status, started_at)
     VALUES ('01890000-0000-7000-8000-000000000000', 'api', 'acme', false, 60, 'admin-key', 'sweep', 'succeeded', now())`,
  );
}

beforeEach(() => world.host.pool.query('TRUNCATE lapse.api_keys, lapse.audit_log'));

const addressOf = (path: string) => path.replace('{sweepId}', '01890000-0000-7000-8000-000000000000');

/** Each member of an item by its path, as the document names them. */
function columnsOf(schema: Schema, path = ''): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, member]) => {
    const type = resolved(member.anyOf?.find(({ $ref }) => $ref !== undefined) ?? member);
    return type.properties ? columnsOf(type, `${path}${name}.`) : [path + name];
  });
}

/** Compact, as `JSON.stringify` writes it: PostgreSQL puts spaces between. */
function compact(row: Record<string, string>): Record<string, string> {
  const args = row['pendingToolApproval.args'];
  return args ? { ...row, 'pendingToolApproval.args': JSON.stringify(JSON.parse(args)) } : row;
}

function expectedCell(item: object, column: string): string {
  const value = column.split('.').reduce<unknown>((found, name) => (found as Record<string, unknown>)?.[name], item);
  return value === null || value === undefined ? '' : typeof value === 'string' ? value : JSON.stringify(value);
}

test('all lists are known', () => {
  expect(LISTS.map(({ path }) => path).sort()).toEqual([
    '/v1/api-keys',
    '/v1/audit-log',
    '/v1/executions',
    '/v1/failures',
    '/v1/locks',
    '/v1/sweeps',
    '/v1/sweeps/{sweepId}/timeouts',
    '/v1/timeouts',
  ]);
});

test.each(LISTS.map((list) => [list.path, list] as const))(
  '%s as CSV has every member as a column, and another reader reads every odd character back',
  async (path, list) => {
    await store(ODD);
    const schema = responseOf(list, 200)?.content?.['application/json']?.schema as Schema;
    const item = resolved(resolved(schema).properties?.items?.items as Schema);
    const locks = world.lapse.app.get(AdvisoryLockService);
    const answers = await locks.withLock({ name: 'a "lock",\n', onBusy: 'skip' }, async () => ({
      json: (await world.lapse.get(addressOf(path) + (path === '/v1/locks' ? '' : '?limit=500'))).body,
      table: await csv(addressOf(path)),
    }));
    const { json, table } = answers as Exclude<typeof answers, { holder: unknown }>;

    expect([table.status, table.headers.get('content-type')]).toEqual([200, 'text/csv; charset=utf-8']);
    expect(table.headers.get('vary')).toMatch(/Accept/);
    const columns = table.body.slice(0, table.body.indexOf('\r\n')).split(',');
    expect([...columns].sort()).toEqual(columnsOf(item).sort());
    expect(json.items.length).toBeGreaterThanOrEqual(path === '/v1/locks' ? 1 : ODD.length);
    expect(rowsOf(table.body).map(compact)).toEqual(
      json.items.map((row: object) =>
        Object.fromEntries(columns.map((column: string) => [column, expectedCell(row, column)])),
      ),
    );
  },
);

test('text that a spreadsheet may take for a formula is quoted in every list, whatever precedes it', async () => {
  await store(FORMULAS);
  for (const { path } of LISTS.filter((list) => list.path !== '/v1/locks')) {
    const rows = rowsOf((await csv(addressOf(path))).body);
    const cells = rows.flatMap((row) => Object.values(row));
    for (const text of FORMULAS) {
      expect([path, text, cells.includes(`'${text}`), cells.includes(text)]).toEqual([path, text, true, false]);
    }
  }
});

test.each(LISTS.filter(({ path }) => path !== '/v1/locks').map(({ path }) => [path]))(
  'CSV of %s has as many rows as `limit` allows, says where the next ones are, and goes on at `cursor`',
  async (path) => {
    await store(['a', 'b', 'c', 'd', 'e']);
    const whole = rowsOf((await csv(addressOf(path))).body);

    const first = await csv(`${addressOf(path)}?limit=2`);
    expect(rowsOf(first.body)).toEqual(whole.slice(0, 2));
    const [, next] = /^<(.*)>; rel="next"$/.exec(first.headers.get('link') as string) ?? [];
    expect(rowsOf((await csv(next as string)).body)).toEqual(whole.slice(2, 4));
    const rest = await csv((next as string).replace('limit=2&', ''));
    expect([rest.headers.get('link'), rowsOf(rest.body)]).toEqual([null, whole.slice(2)]);
    const last = await csv(`${addressOf(path)}?limit=500`);
    expect([last.headers.get('link'), rowsOf(last.body)]).toEqual([null, whole]);
    expect((await csv(`${addressOf(path)}?limit=0`)).status).toBe(400);
  },
);

test('a list without rows is its header line', async () => {
  expect((await csv('/v1/failures?tenantId=nobody')).body).toBe(
    'tenantId,projectId,executionId,attempts,firstFailedAt,lastFailedAt,nextTryAt,lastReason,lastSweepId\r\n',
  );
});

test.each([
  ['text/csv', 'text/csv'],
  ['text/*', 'text/csv'],
  ['TEXT/CSV;header=present', 'text/csv'],
  ['text/csv; charset=utf-8', 'text/csv'],
  ['application/json;q=0.5, text/csv', 'text/csv'],
  ['text/csv;q=0.5, application/json', 'application/json'],
  ['text/csv;q=0', 'application/json'],
  ['text/html, */*;q=0.8', 'application/json'],
  ['image/png', 'application/json'],
  ['', 'application/json'],
  [',;=', 'application/json'],
])('"Accept: %s" is answered with %s', async (accept, type) => {
  const { status, headers } = await csv('/v1/sweeps', { accept });
  expect([status, headers.get('content-type')?.split(';')[0]]).toEqual([200, type]);
});

test("CSV shows a tenant's credential nothing of another tenant", async () => {
  await store(['a']);
  const key = await world.lapse.createKey('admin', 'globex');
  for (const { path } of LISTS.filter((list) => list.path !== '/v1/locks')) {
    const { status, body } = await world.lapse.send('GET', addressOf(path), key, undefined, { accept: 'text/csv' });
    expect([path, status, /acme/.test(body)]).toEqual([path, path.includes('{') ? 404 : 200, false]);
  }
});
