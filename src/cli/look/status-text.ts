import { listTable, printable, propertyTable } from '../table.js';
import type { Status } from './status.js';
import { SWEEP_COLUMNS, sweepRow } from './sweeps.command.js';

const WORDS = { ok: 'ok', warn: 'warn', fail: 'FAIL' } as const;

const SUMMARY = {
  ok: 'All is well.',
  warn: 'Lapse works; look at what says "warn".',
  fail: 'Something does not work; look at what says "FAIL".',
} as const;

const NAMES = {
  schedule: 'schedule',
  backlog: 'waiting',
  lock: 'lock',
  failures: 'failures',
  guard: 'guard',
  lateApprovals: 'late approvals',
  sweeps: 'sweeps',
} as const;

export function statusText(status: Status): string {
  const rows = (Object.keys(NAMES) as (keyof typeof NAMES)[]).map((name) => {
    const { verdict, seen, remedy } = status[name];
    return [WORDS[verdict], NAMES[name], remedy === null ? seen : `${seen}. To do: ${remedy}`];
  });
  const of = status.tenantId === null ? '' : ` Counts are those of tenant ${printable(status.tenantId)}.`;
  const sweeps = status.sweeps.data?.items ?? [];
  return [
    `${SUMMARY[status.verdict]}${of}`,
    propertyTable(rows),
    ...(sweeps.length === 0 ? [] : [listTable(SWEEP_COLUMNS, sweeps.map(sweepRow))]),
    ...(status.verdict === 'ok' ? [] : ['docs/runbook.md says what to do at each symptom.']),
  ].join('\n');
}
