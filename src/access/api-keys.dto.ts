import { ApiProperty, ApiPropertyOptional, ApiSchema } from '@nestjs/swagger';
import { IsUUID } from 'class-validator';
import { rfc3339, rfc3339OrNull } from '../database/moments.js';
import { OptionalForeignId } from '../http/foreign-id.js';
import { IsMoment, IsOneOf, IsText, MayBeLeftOut } from '../http/input.validators.js';
import { PageDto } from '../http/page.dto.js';
import type { ApiKeyEntity } from './api-key.entity.js';
import { ROLES, type Role } from './role.js';

export class CreateApiKeyBody {
  @ApiProperty({ minLength: 1, maxLength: 200, example: 'nightly report' })
  @IsText(200)
  name!: string;

  @ApiProperty({ enum: ROLES, example: 'viewer' })
  @IsOneOf(ROLES)
  role!: Role;

  @OptionalForeignId({
    description: 'The tenant that the key is bound to; the whole platform where left out',
    example: 'acme',
  })
  tenantId?: string;

  @ApiPropertyOptional({
    format: 'date-time',
    description: 'From then on the key opens nothing',
    example: '2099-01-01T00:00:00.000Z',
  })
  @MayBeLeftOut()
  @IsMoment()
  expiresAt?: string;
}

export class ApiKeyIdParam {
  @ApiProperty({ format: 'uuid' })
  @IsUUID(undefined, { message: 'must be the id of an API key, a UUID' })
  keyId!: string;
}

@ApiSchema({ name: 'ApiKey' })
export class ApiKeyDto {
  @ApiProperty({ format: 'uuid' }) id!: string;
  @ApiProperty({ description: 'The part of the key that may be shown' }) publicId!: string;
  @ApiProperty() name!: string;
  @ApiProperty({ type: String, nullable: true }) tenantId!: string | null;
  @ApiProperty({ enum: ROLES }) role!: Role;
  @ApiProperty() createdBy!: string;
  @ApiProperty({ format: 'date-time' }) createdAt!: string;
  @ApiProperty({ type: String, format: 'date-time', nullable: true }) expiresAt!: string | null;
  @ApiProperty({ type: String, format: 'date-time', nullable: true, description: 'To the minute' }) lastUsedAt!:
    | string
    | null;
  @ApiProperty({ type: String, format: 'date-time', nullable: true }) revokedAt!: string | null;

  static from(key: ApiKeyEntity): ApiKeyDto {
    return {
      id: key.id,
      publicId: key.publicId,
      name: key.name,
      tenantId: key.tenantId,
      role: key.role,
      createdBy: key.createdBy,
      createdAt: rfc3339(key.createdAt),
      expiresAt: rfc3339OrNull(key.expiresAt),
      lastUsedAt: rfc3339OrNull(key.lastUsedAt),
      revokedAt: rfc3339OrNull(key.revokedAt),
    };
  }
}

@ApiSchema({ name: 'CreatedApiKey' })
export class CreatedApiKeyDto extends ApiKeyDto {
  @ApiProperty({ description: 'The whole key. It is shown this once and kept nowhere' })
  key!: string;
}

@ApiSchema({ name: 'ApiKeyPage' })
export class ApiKeyPageDto extends PageDto {
  @ApiProperty({ type: [ApiKeyDto] })
  items!: ApiKeyDto[];
}
