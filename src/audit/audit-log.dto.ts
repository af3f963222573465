import { ApiProperty, ApiPropertyOptional, ApiSchema } from '@nestjs/swagger';
import { rfc3339 } from '../database/moments.js';
import { OptionalForeignId } from '../http/foreign-id.js';
import { IsOneOf, IsText, MayBeLeftOut } from '../http/input.validators.js';
import { PageDto, PageQuery } from '../http/page.dto.js';
import type { AuditRow } from './audit-log.repository.js';
import { OUTCOMES, type Outcome } from './audit-record.entity.js';

/** What is kept of the request of a sweep. */
const SWEEP_DETAILS = {
  projectId: null,
  agentId: null,
  timeoutSeconds: 1800,
  limit: null,
  dryRun: true,
  reason: null,
};

export class ListAuditLogQuery extends PageQuery {
  @OptionalForeignId({ description: 'What concerned this tenant alone' })
  tenantId?: string;

  @ApiPropertyOptional({ minLength: 1, maxLength: 100, description: 'Such as `api-key.create`' })
  @MayBeLeftOut()
  @IsText(100)
  action?: string;

  @ApiPropertyOptional({ minLength: 1, maxLength: 300, description: 'Such as `admin-key`' })
  @MayBeLeftOut()
  @IsText(300)
  principalId?: string;

  @ApiPropertyOptional({ enum: OUTCOMES })
  @MayBeLeftOut()
  @IsOneOf(OUTCOMES)
  outcome?: Outcome;

  @ApiPropertyOptional({ minLength: 1, maxLength: 128, description: 'The X-Request-Id of the call' })
  @MayBeLeftOut()
  @IsText(128)
  requestId?: string;
}

@ApiSchema({ name: 'AuditRecord' })
export class AuditRecordDto {
  @ApiProperty({ format: 'uuid' }) id!: string;
  @ApiProperty({ format: 'date-time' }) at!: string;
  @ApiProperty({ type: String, nullable: true, description: 'Whom it concerned; null: the whole platform' })
  tenantId!: string | null;
  @ApiProperty({ description: '`nobody`: the credential opened nothing', example: 'admin-key' }) principalKind!: string;
  @ApiProperty({ type: String, nullable: true, example: 'admin-key' }) principalId!: string | null;
  @ApiProperty({ example: '10.0.3.17' }) address!: string;
  @ApiProperty({ example: 'sweep.request' }) action!: string;
  @ApiProperty({ type: String, nullable: true, description: 'The id of what it was done to' }) target!: string | null;
  @ApiProperty({ enum: OUTCOMES }) outcome!: Outcome;
  @ApiProperty({ type: String, nullable: true, description: 'Why it was refused or failed', example: null })
  code!: string | null;
  @ApiProperty() requestId!: string;
  @ApiProperty({ type: Object, description: 'What was asked for', example: SWEEP_DETAILS })
  details!: Record<string, unknown>;

  static from({ position: _position, ...record }: AuditRow): AuditRecordDto {
    return { ...record, at: rfc3339(record.at) };
  }
}

@ApiSchema({ name: 'AuditRecordPage' })
export class AuditRecordPageDto extends PageDto {
  @ApiProperty({ type: [AuditRecordDto] })
  items!: AuditRecordDto[];
}
