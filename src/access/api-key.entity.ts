import { Column, Entity, PrimaryColumn } from 'typeorm';
import type { Role } from './role.js';

/** A key that a program or a person calls with. Of its secret only the SHA-256 is here. */
@Entity('api_keys')
export class ApiKeyEntity {
  @PrimaryColumn('uuid') id!: string;
  @Column('text', { name: 'public_id' }) publicId!: string;
  @Column('bytea', { name: 'secret_hash', select: false }) secretHash!: Buffer;
  @Column('text') name!: string;
  /** Null for a key of the platform. */
  @Column('text', { name: 'tenant_id', nullable: true }) tenantId!: string | null;
  @Column('text') role!: Role;
  @Column('text', { name: 'created_by' }) createdBy!: string;
  @Column('timestamptz', { name: 'created_at' }) createdAt!: Date;
  @Column('timestamptz', { name: 'expires_at', nullable: true }) expiresAt!: Date | null;
  @Column('timestamptz', { name: 'last_used_at', nullable: true }) lastUsedAt!: Date | null;
  @Column('timestamptz', { name: 'revoked_at', nullable: true }) revokedAt!: Date | null;
}
