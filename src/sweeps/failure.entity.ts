import { Column, Entity, PrimaryColumn } from 'typeorm';

/** An execution that is overdue and could not be timed out: what PostgreSQL said, and when it is tried again. */
@Entity('failures')
export class FailureEntity {
  @PrimaryColumn('text', { name: 'tenant_id' }) tenantId!: string;
  @PrimaryColumn('text', { name: 'project_id' }) projectId!: string;
  @PrimaryColumn('text', { name: 'execution_id' }) executionId!: string;
  @Column('integer') attempts!: number;
  @Column('timestamptz', { name: 'first_failed_at' }) firstFailedAt!: Date;
  @Column('timestamptz', { name: 'last_failed_at' }) lastFailedAt!: Date;
  @Column('timestamptz', { name: 'next_try_at' }) nextTryAt!: Date;
  @Column('text', { name: 'last_reason' }) lastReason!: string;
  @Column('uuid', { name: 'last_sweep_id' }) lastSweepId!: string;
}
