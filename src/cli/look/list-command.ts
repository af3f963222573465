import type { INestApplicationContext, Type } from '@nestjs/common';
import type { ClassConstructor } from 'class-transformer';
import { type Command, Option } from 'commander';
import type { Caller } from '../../access/principal.js';
import type { Page, PageQuery } from '../../http/page.dto.js';
import { OptionsInvalidError } from '../cli.errors.js';
import { CommandRun } from '../command-run.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import { type Column, listTable } from '../table.js';
import { LOOK_EXIT_CODES, show, type View, type ViewOptions } from './view.js';

/** What one page of the API has at most. */
const MAX_PAGE = 500;
const DEFAULT_LIMIT = 50;

/** A filter of the API, as an option. */
export interface Filter {
  /** The field of the query's DTO. */
  field: string;
  flags: string;
  description: string;
}

/** A list of the API, as a command. */
export interface ListCommand<Query extends PageQuery, Item extends object> {
  name: string;
  summary: string;
  description: string;
  /** Notes and examples. */
  help: string;
  filters: readonly Filter[];
  watch?: true;
  /** Loads the service's side only if the command runs. */
  load(): Promise<ListSource<Query, Item>>;
  columns: readonly Column[];
  row(item: Item): string[];
  /** Said if the list is empty. */
  nothing: string;
  /** Said below the table. */
  note?: string;
}

export interface ListSource<Query, Item> {
  query: ClassConstructor<Query>;
  /** The service that answers the list of the API. */
  service: Type<{ list(caller: Caller, query: Query): Promise<Page<Item>> }>;
  /** The whole of an item of which a list has only the beginning. */
  whole?(app: INestApplicationContext, caller: Caller, item: Item): Promise<Item>;
}

type Options = ViewOptions & Record<string, unknown>;

export const TENANT: Filter = { field: 'tenantId', flags: '--tenant <id>', description: 'only those of this tenant' };
export const PROJECT: Filter = {
  field: 'projectId',
  flags: '--project <id>',
  description: 'only those of this project',
};
export const AGENT: Filter = { field: 'agentId', flags: '--agent <id>', description: 'only those of this agent' };

export function addListCommand<Query extends PageQuery, Item extends object>(
  lapse: Command,
  list: ListCommand<Query, Item>,
): void {
  const command = lapse
    .command(list.name)
    .summary(list.summary)
    .description(list.description)
    .addHelpText('after', `${list.help}${LOOK_EXIT_CODES}`);
  for (const { flags, description } of list.filters) {
    command.addOption(new Option(flags, description));
  }
  command
    .option('--limit <n>', `at most so many, 1 to 10000 (default: ${DEFAULT_LIMIT})`)
    .option('--cursor <text>', 'go on after an earlier answer: its "nextCursor", with the same filters')
    .option('--json', 'one JSON document: {items, nextCursor}, the items as the API answers them, never cut');
  if (list.watch) {
    command.option('--watch', 'look again every five seconds, until Ctrl-C');
  }
  command.action((options: Options) => CommandRun.toExit((run) => lookAtList(run, list, options)));
}

async function lookAtList<Query extends PageQuery, Item extends object>(
  run: CommandRun,
  list: ListCommand<Query, Item>,
  options: Options,
): Promise<ExitCode> {
  const source = await list.load();
  const { query, limit, names } = await requestIn(list, source, options);
  const { openApplication } = await import('../application.js');
  const { cliCaller } = await import('../cli-caller.js');
  const { throwWithOptionNames } = await import('../options.js');
  const app = await openApplication(run);
  const service = app.get(source.service, { strict: false });
  const caller = cliCaller(undefined, query.tenantId);
  return show(run, list.name, options, async () => {
    const found = await collect(limit, (page) => service.list(caller, { ...query, ...page })).catch((error) =>
      throwWithOptionNames(error, query, names),
    );
    if (options.json && source.whole) {
      for (const [at, item] of found.items.entries()) {
        found.items[at] = await source.whole(app, caller, item);
      }
    }
    return viewOf(list, limit, found);
  });
}

/** @throws OptionsInvalidError with every fault. */
async function requestIn<Query extends PageQuery, Item extends object>(
  { filters }: ListCommand<Query, Item>,
  { query: type }: ListSource<Query, Item>,
  options: Options,
): Promise<{ query: Query & { tenantId?: string }; limit: number; names: Record<string, string> }> {
  const { checked } = await import('../options.js');
  const { LimitOption } = await import('./limit-option.js');
  const names: Record<string, string> = { cursor: '--cursor', limit: '--limit' };
  const fields: Record<string, unknown> = { cursor: options.cursor };
  for (const { field, flags } of filters) {
    const option = new Option(flags);
    names[field] ??= option.long as string;
    fields[field] = options[option.attributeName()];
  }
  const outcomes = await Promise.allSettled([
    checked(type, fields as { [K in keyof Query]?: unknown }, names as Partial<Record<keyof Query & string, string>>),
    checked(LimitOption, { limit: options.limit ?? DEFAULT_LIMIT }, { limit: '--limit' }),
  ]);
  const [query, limit] = outcomes;
  if (query.status === 'fulfilled' && limit.status === 'fulfilled') {
    return { query: query.value, limit: limit.value.limit, names };
  }
  const faults = outcomes.flatMap((outcome) => {
    if (outcome.status === 'rejected' && !(outcome.reason instanceof OptionsInvalidError)) {
      throw outcome.reason;
    }
    return outcome.status === 'rejected' ? outcome.reason.faults : [];
  });
  throw new OptionsInvalidError(faults);
}

/** A page can be short, even empty, and be followed by others: whoever asks for a list at a prompt wants what there is. */
async function collect<Item>(
  limit: number,
  page: (query: { limit: number; cursor?: string }) => Promise<Page<Item>>,
): Promise<Page<Item>> {
  const items: Item[] = [];
  let cursor: string | null | undefined;
  do {
    const asked = { limit: Math.min(MAX_PAGE, limit - items.length), ...(cursor ? { cursor } : {}) };
    const found = await page(asked);
    items.push(...found.items);
    cursor = found.nextCursor;
  } while (cursor !== null && items.length < limit);
  return { items, nextCursor: cursor };
}

function viewOf<Query extends PageQuery, Item extends object>(
  { columns, row, nothing, note }: ListCommand<Query, Item>,
  limit: number,
  found: Page<Item>,
): View {
  const below = note === undefined ? '' : `\n${note}`;
  const table = found.items.length === 0 ? nothing : `${listTable(columns, found.items.map(row))}${below}`;
  const more = found.nextCursor === null ? '' : `\nThere are more than these ${limit}: raise --limit.`;
  return { document: found, text: `${table}${more}`, exitCode: EXIT.done };
}
