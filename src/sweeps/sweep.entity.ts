import { Column, Entity, PrimaryColumn } from 'typeorm';

export const TRIGGERS = ['schedule', 'api', 'cron', 'cli'] as const;
export type Trigger = (typeof TRIGGERS)[number];

export const SWEEP_STATUSES = ['running', 'succeeded', 'partial', 'failed', 'cancelled', 'interrupted'] as const;
export type SweepStatus = (typeof SWEEP_STATUSES)[number];

export const SWEEP_KINDS = ['timeout', 'undo'] as const;
export type SweepKind = (typeof SWEEP_KINDS)[number];

/** One pass that times out what is overdue in its scope. The counts grow in the transactions that they count. */
@Entity('sweeps')
export class SweepEntity {
  @PrimaryColumn('uuid') id!: string;
  @Column('text') trigger!: Trigger;
  /** Null for the whole platform. */
  @Column('text', { name: 'tenant_id', nullable: true }) tenantId!: string | null;
  @Column('text', { name: 'project_id', nullable: true }) projectId!: string | null;
  @Column('text', { name: 'agent_id', nullable: true }) agentId!: string | null;
  @Column('text') status!: SweepStatus;
  @Column('boolean', { name: 'dry_run' }) dryRun!: boolean;
  @Column('integer', { name: 'timeout_seconds' }) timeoutSeconds!: number;
  @Column('integer', { name: 'row_limit', nullable: true }) limit!: number | null;
  @Column('text', { nullable: true }) reason!: string | null;
  @Column('text', { name: 'requested_by' }) requestedBy!: string;
  /** The lock that is held for as long as the sweep really runs. */
  @Column('text', { name: 'lock_name' }) lockName!: string;
  @Column('integer', { name: 'timed_out' }) timedOut!: number;
  @Column('integer') skipped!: number;
  @Column('integer') failed!: number;
  /** The sweep whose timeouts this one takes back; null for one that times out, and for an undo of a period. */
  @Column('uuid', { nullable: true }) undoes!: string | null;
  /** Where in the ledger an undo looks; null for a sweep that times out, and for undos of older versions. */
  @Column('timestamptz', { name: 'undo_from', nullable: true }) undoFrom!: Date | null;
  @Column('timestamptz', { name: 'undo_to', nullable: true }) undoTo!: Date | null;
  /** How many timeouts an undo found when it began; null as `undoFrom`. */
  @Column('integer', { nullable: true }) expected!: number | null;
  @Column('integer') reopened!: number;
  @Column('integer', { name: 'changed_since' }) changedSince!: number;
  @Column('integer') gone!: number;
  @Column('integer', { name: 'already_reopened' }) alreadyReopened!: number;
  @Column('timestamptz') cutoff!: Date;
  @Column('timestamptz', { name: 'started_at' }) startedAt!: Date;
  @Column('timestamptz', { name: 'finished_at', nullable: true }) finishedAt!: Date | null;
  @Column('timestamptz', { name: 'cancel_requested_at', nullable: true }) cancelRequestedAt!: Date | null;
  @Column('text', { nullable: true }) error!: string | null;
}

export function kindOf({ undoes, undoFrom }: Pick<SweepEntity, 'undoes' | 'undoFrom'>): SweepKind {
  return undoes === null && undoFrom === null ? 'timeout' : 'undo';
}
