import type { Command } from 'commander';
import type { ApiKeyDto, CreateApiKeyBody } from '../access/api-keys.dto.js';
import type { ApiKeysService } from '../access/api-keys.service.js';
import type { Caller } from '../access/principal.js';
import { CommandRun } from './command-run.js';
import { EXIT, EXIT_CODES_HELP, type ExitCode } from './exit-codes.js';
import { timeOf } from './look/cells.js';
import { printJson, printLine, printList, printProperties } from './output.js';

const CREATE_HELP = `
The key is printed this once, and kept nowhere: only a digest of its secret is.

Examples:
  $ lapse keys create --name "nightly report" --role viewer --tenant acme --expires 2099-01-01T00:00:00Z
  $ lapse keys create --name ci --role operator --json | jq -r .key
${EXIT_CODES_HELP}`;

const LIST_HELP = `
Newest first, revoked and expired ones too. Times are in UTC; --json has them whole, and the public ids that the audit log
names. Secrets are not shown, because they are not kept.

Example:
  $ lapse keys list --tenant acme
${EXIT_CODES_HELP}`;

const REVOKE_HELP = `
The key opens nothing any more, on every replica within five seconds. Revoking it again changes nothing.

Example:
  $ lapse keys revoke 01a20328-6a44-764e-bfac-bf60424bf10d
${EXIT_CODES_HELP}`;

const PAGE = 500;

interface CreateOptions {
  name?: string;
  role?: string;
  tenant?: string;
  expires?: string;
  json?: true;
}

interface ListOptions {
  tenant?: string;
  json?: true;
}

export function addKeysCommand(lapse: Command): void {
  const keys = lapse
    .command('keys')
    .summary('make, list and revoke API keys')
    .description('Makes, lists and revokes API keys.')
    .helpCommand(false);
  keys
    .command('create')
    .summary('make a key; it is shown this once')
    .description('Makes an API key for one tenant or for the platform.')
    .option('--name <text>', 'what it is for (required)')
    .option('--role <role>', 'viewer, operator or admin; each includes the one before (required)')
    .option('--tenant <id>', 'bound to this tenant; to the whole platform where left out')
    .option('--expires <time>', 'from then on it opens nothing: ISO 8601 with a zone')
    .option('--json', 'one JSON document: the key as the API answers it')
    .addHelpText('after', CREATE_HELP)
    .action((options: CreateOptions) => CommandRun.toExit((run) => createKey(run, options)));
  keys
    .command('list')
    .summary('list keys, without their secrets')
    .description('Lists API keys, without their secrets.')
    .option('--tenant <id>', 'only those of this tenant')
    .option('--json', 'one JSON document: {items, nextCursor: null}, with all keys')
    .addHelpText('after', LIST_HELP)
    .action((options: ListOptions) => CommandRun.toExit((run) => listKeys(run, options)));
  keys
    .command('revoke')
    .argument('<keyId>', 'the id of the key, a UUID; "lapse keys list" has it')
    .summary('revoke a key')
    .description('Revokes an API key.')
    .option('--json', 'one JSON document: {keyId, revoked}')
    .addHelpText('after', REVOKE_HELP)
    .action((keyId: string, options: { json?: true }) => CommandRun.toExit((run) => revokeKey(run, keyId, options)));
}

async function createKey(run: CommandRun, options: CreateOptions): Promise<ExitCode> {
  const { CreateApiKeyBody } = await import('../access/api-keys.dto.js');
  const { checked, throwWithOptionNames } = await import('./options.js');
  const { name, role, tenant: tenantId, expires: expiresAt } = options;
  const names = { name: '--name', role: '--role', tenantId: '--tenant', expiresAt: '--expires' };
  const body: CreateApiKeyBody = await checked(CreateApiKeyBody, { name, role, tenantId, expiresAt }, names);
  const created = await withKeys(run, 'api-key.create', tenantId, null, (keys, caller) =>
    keys.create(caller, body),
  ).catch((error) => throwWithOptionNames(error, body, names));
  if (options.json) {
    printJson(created);
    return EXIT.done;
  }
  printLine(created.key);
  printProperties({
    Id: created.id,
    Name: created.name,
    Role: created.role,
    Scope: scopeOf(created),
    Expires: created.expiresAt ?? 'never',
  });
  printLine('Keep the key: it is shown this once.');
  return EXIT.done;
}

async function listKeys(run: CommandRun, { tenant, json }: ListOptions): Promise<ExitCode> {
  const { TenantOption } = await import('./tenant-option.js');
  const { checked } = await import('./options.js');
  await checked(TenantOption, { tenantId: tenant }, { tenantId: '--tenant' });
  const items = await withKeys(run, undefined, tenant, null, allKeys);
  if (json) {
    printJson({ items, nextCursor: null });
    return EXIT.done;
  }
  printList(
    [{ name: 'Id', kept: true }, 'Name', 'Role', 'Tenant', 'State', 'Last used'],
    items.map((key) => [
      key.id,
      key.name,
      key.role,
      key.tenantId ?? '(platform)',
      stateOf(key),
      key.lastUsedAt === null ? 'never' : timeOf(key.lastUsedAt),
    ]),
  );
  return EXIT.done;
}

async function allKeys(keys: ApiKeysService, caller: Caller): Promise<ApiKeyDto[]> {
  const found: ApiKeyDto[] = [];
  for (let cursor: string | null | undefined; cursor !== null; ) {
    const page = await keys.list(caller, { limit: PAGE, ...(cursor === undefined ? {} : { cursor }) });
    found.push(...page.items);
    cursor = page.nextCursor;
  }
  return found;
}

async function revokeKey(run: CommandRun, keyId: string, { json }: { json?: true }): Promise<ExitCode> {
  const { ApiKeyIdParam } = await import('../access/api-keys.dto.js');
  const { checked } = await import('./options.js');
  await checked(ApiKeyIdParam, { keyId }, { keyId: '<keyId>' });
  await withKeys(run, 'api-key.revoke', undefined, keyId, (keys, caller) => keys.revoke(caller, keyId));
  if (json) {
    printJson({ keyId, revoked: true });
  } else {
    printLine(`Revoked: ${keyId}`);
  }
  return EXIT.done;
}

/** @param action undefined for what only reads. */
async function withKeys<T>(
  run: CommandRun,
  action: string | undefined,
  tenantId: string | undefined,
  target: string | null,
  deed: (keys: ApiKeysService, caller: Caller) => Promise<T>,
): Promise<T> {
  const { openApplication } = await import('./application.js');
  const { cliCaller, onRecord } = await import('./cli-caller.js');
  const { ApiKeysService } = await import('../access/api-keys.service.js');
  const app = await openApplication(run);
  const caller = cliCaller(action, tenantId);
  return onRecord(app, caller, target, () => deed(app.get(ApiKeysService), caller));
}

function scopeOf({ tenantId }: ApiKeyDto): string {
  return tenantId === null ? 'platform' : `tenant ${tenantId}`;
}

function stateOf({ revokedAt, expiresAt }: ApiKeyDto): string {
  if (revokedAt !== null) {
    return 'revoked';
  }
  if (expiresAt === null) {
    return 'opens';
  }
  return Date.parse(expiresAt) <= Date.now() ? 'expired' : `until ${expiresAt.slice(0, 10)}`;
}
