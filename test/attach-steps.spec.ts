import { spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { LateApprovalGuard } from '../src/timeouts/late-approval-guard.service.js';
import { Command } from './support/command-line.js';
import { Lapse } from './support/lapse.js';
import { inShell, PostgresServer, SERVER_VERSIONS } from './support/postgres-server.js';

const psqlIsInstalled = spawnSync('psql', ['--version']).status === 0;

/** The README's blocks of code below "Attach it to your database", in their order. */
let sql: Record<'roles' | 'schema' | 'grants' | 'indexes', string>;
let shell: Record<'start' | 'guard', string>;
const STATUS = /npm run .* status\n/;

/** What `lapse guard … --print` prints. */
const printed = { install: '', remove: '' };

beforeAll(async () => {
  const readme = await readFile('README.md', 'utf8');
  const [, section = ''] = /\n## Attach it to your database\n(.*?)\n## /s.exec(readme) ?? [];
  const blocksOf = (language: string) =>
    [...section.matchAll(new RegExp(`\`\`\`${language}\\n(.*?)\`\`\``, 'gs'))].map(([, text = '']) =>
      text.replace(/^ {3}/gm, ''),
    );
  const [roles = '', schema = '', grants = '', indexes = ''] = blocksOf('sql');
  const script = (what: string) => blocksOf('sh').find((text) => text.includes(what)) ?? '';
  const [start, guard] = [script('npm start'), script('guard install')];
  sql = { roles, schema, grants, indexes };
  shell = { start, guard };
  for (const change of ['install', 'remove'] as const) {
    printed[change] = (await Command.run(['guard', change, '--print'], {})).stdout;
  }
}, 30_000);

const TABLES = `
  CREATE TABLE workflow_executions (
    tenant_id varchar(256) NOT NULL, project_id varchar(256) NOT NULL, id varchar(256) NOT NULL,
    agent_id varchar(256) NOT NULL, conversation_id varchar(256) NOT NULL, request_id varchar(256),
    status varchar(50) NOT NULL DEFAULT 'running', metadata jsonb,
    created_at timestamp NOT NULL DEFAULT now(), updated_at timestamp NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, project_id, id));
  CREATE TABLE conversations (
    tenant_id varchar(256), project_id varchar(256), id varchar(256), user_id varchar(256), PRIMARY KEY (tenant_id, project_id, id));
  INSERT INTO conversations VALUES ('acme', 'support', 'conversation', 'user');
  INSERT INTO workflow_executions (tenant_id, project_id, id, agent_id, conversation_id, status, updated_at)
  VALUES ('acme', 'support', 'overdue', 'agent', 'conversation', 'suspended', now() AT TIME ZONE 'UTC' - interval '1 hour')`;

/** Who is there, what they may do, and who runs which step; `before` is what the README says to run first. */
interface People {
  /** By a superuser, in the new database `app`, which belongs to `owner`. */
  roles: string;
  owner: string;
  tables: string;
  before?: string;
  steps: Record<'roles' | 'schema' | 'grants' | 'indexes' | 'guard', string>;
}

/**
 * Stands in for `npm run --silent lapse -- guard … --print`, which compiles first. What it prints is the same for everybody;
 * one of the people below has the real one.
 */
const PRINTED = 'npm() { echo "$PRINTED"; }';

const all = (who: string) => ({ roles: who, schema: who, grants: who, indexes: who, guard: who });

const PEOPLE: Record<string, People> = {
  'a superuser': { roles: 'CREATE ROLE app LOGIN', owner: 'app', tables: 'app', steps: all('postgres') },
  "a managed database's master user, who owns the table": {
    roles: 'CREATE ROLE master LOGIN CREATEROLE CREATEDB',
    owner: 'master',
    tables: 'master',
    steps: all('master'),
  },
  "a managed database's master user, and a role of the service owns the table": {
    roles:
      'CREATE ROLE master LOGIN CREATEROLE CREATEDB; SET ROLE master; CREATE ROLE app LOGIN; RESET ROLE; GRANT CREATE ON SCHEMA public TO app',
    owner: 'master',
    tables: 'app',
    before: 'GRANT app TO CURRENT_USER',
    steps: all('master'),
  },
  'a DBA who may create roles alone, and the owner of the database and the table': {
    roles: 'CREATE ROLE dba LOGIN CREATEROLE; CREATE ROLE app LOGIN',
    owner: 'app',
    tables: 'app',
    steps: { ...all('app'), roles: 'dba' },
  },
  'a DBA who owns the database, and the owner of the table alone': {
    roles: 'CREATE ROLE dba LOGIN CREATEROLE; CREATE ROLE app LOGIN; GRANT CREATE ON SCHEMA public TO app',
    owner: 'dba',
    tables: 'app',
    steps: { ...all('app'), roles: 'dba', schema: 'dba' },
  },
};

describe.each(SERVER_VERSIONS)('on PostgreSQL %d, the steps of the README work as written for', (version) => {
  let server: PostgresServer;

  beforeAll(async () => {
    const hba = ['host all lapse 127.0.0.1/32 scram-sha-256', 'host all all 127.0.0.1/32 trust'];
    server = await PostgresServer.start({ version, hba });
  }, 60_000);
  afterEach(async () => {
    await Lapse.stopAll();
    const roles = "SELECT rolname FROM pg_roles WHERE rolname IN ('lapse', 'app', 'master', 'dba')";
    await server.run(server.url(), 'DROP DATABASE app WITH (FORCE)');
    const { rows } = await server.run(server.url(), roles);
    await server.run(server.url(), ...rows.map(({ rolname }) => `DROP ROLE ${rolname}`));
  });
  afterAll(() => server?.stop());

  /** The block, each statement for itself, as psql does. */
  async function runAs(who: string, block: string): Promise<void> {
    await server.run(server.url(who, 'app'), ...block.split(/;\n/).filter((text) => text.trim() !== ''));
  }

  function onThisServer(script: string): string {
    return script.replaceAll(':5432/', `:${server.port}/`);
  }

  test.each(Object.entries(PEOPLE))(
    '%s',
    async (_who, { roles, owner, tables, before, steps }) => {
      await server.run(
        server.url(),
        roles.replace(/GRANT CREATE ON SCHEMA.*/, ''),
        `CREATE DATABASE app OWNER ${owner}`,
      );
      const grants = /GRANT CREATE ON SCHEMA.*/.exec(roles)?.[0];
      await server.run(server.url('postgres', 'app'), ...(grants ? [grants] : []));
      await server.run(server.url(tables, 'app'), TABLES);

      if (before) {
        await runAs(steps.roles, before);
      }
      for (const step of ['roles', 'schema', 'grants', 'indexes'] as const) {
        await runAs(steps[step], sql[step]);
      }
      const [, url = ''] = /DATABASE_URL='(.*)'/.exec(onThisServer(shell.start)) ?? [];
      const lapse = await Lapse.start(url);
      expect((await lapse.post('/v1/sweeps')).body.counts).toMatchObject({ timedOut: 1, failed: 0 });
      const conversation = '/v1/tenants/acme/projects/support/conversations/conversation/pending-approvals';
      expect((await lapse.get(conversation)).status).toBe(200);
      // What takes long and depends on nobody's rights is done once.
      const isWhole = version === 18 && steps.guard === 'postgres';
      if (isWhole) {
        const doctor = await Command.run(['doctor', '--json'], { DATABASE_URL: url, LAPSE_SWEEP_CRON: 'off' });
        const { findings } = JSON.parse(doctor.stdout);
        expect(findings.filter(({ verdict }: { verdict: string }) => !['ok', 'skip'].includes(verdict))).toEqual([
          expect.objectContaining({ check: 'schedule', verdict: 'warn' }),
        ]);
      }
      if (!psqlIsInstalled) {
        return;
      }
      const guard = onThisServer(shell.guard).replace(/\/\/app@/, `//${steps.guard}@`);
      const installation = isWhole ? guard : guard.replace(STATUS, '');
      const removal = guard.replaceAll('guard install', 'guard remove').replace(STATUS, '');
      const inFolder = (script: string) =>
        isWhole
          ? inShell(`set -eo pipefail\n${script}`, { DATABASE_URL: url })
          : inShell(`set -eo pipefail\n${PRINTED}\n${script}`, {
              PRINTED: printed[script === removal ? 'remove' : 'install'],
            });
      const { stdout } = await inFolder(installation);
      if (isWhole) {
        expect(stdout).toMatch(/^The guard is installed/m);
      }
      expect(await lapse.app.get(LateApprovalGuard, { strict: false }).status()).toBe('installed');
      const approve = `UPDATE workflow_executions SET status = 'running'`;
      await expect(runAs(tables, approve)).rejects.toMatchObject({ code: 'LP001' });

      if (isWhole) {
        const asLapse = removal.replace(/OWNER_URL='.*'/, `OWNER_URL='${url}'`);
        await expect(inFolder(asLapse)).rejects.toMatchObject({ code: 3 });
      }
      await inFolder(removal);
      await runAs(tables, approve);
    },
    120_000,
  );
});
