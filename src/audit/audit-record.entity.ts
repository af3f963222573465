import { Column, Entity, PrimaryColumn } from 'typeorm';

export const OUTCOMES = ['done', 'refused', 'failed'] as const;
export type Outcome = (typeof OUTCOMES)[number];

/** What somebody did over the API, or was refused. Never changed, and never a secret in it. */
@Entity('audit_log')
export class AuditRecordEntity {
  @PrimaryColumn('uuid') id!: string;
  @Column('timestamptz') at!: Date;
  /** Whom it concerned; null for the whole platform, and where the credential opened nothing. */
  @Column('text', { name: 'tenant_id', nullable: true }) tenantId!: string | null;
  /** `nobody` where the credential opened nothing. */
  @Column('text', { name: 'principal_kind' }) principalKind!: string;
  @Column('text', { name: 'principal_id', nullable: true }) principalId!: string | null;
  @Column('text') address!: string;
  @Column('text') action!: string;
  /** The id of what it was done to. */
  @Column('text', { nullable: true }) target!: string | null;
  @Column('text') outcome!: Outcome;
  /** The `code` of the problem that the caller was told; null where it was done. */
  @Column('text', { nullable: true }) code!: string | null;
  @Column('text', { name: 'request_id' }) requestId!: string;
  @Column('jsonb') details!: Record<string, unknown>;
}
