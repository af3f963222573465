import { ApiProperty, ApiSchema } from '@nestjs/swagger';
import { OptionalForeignId } from '../http/foreign-id.js';

export class BacklogQuery {
  @OptionalForeignId({ description: 'What waits in this tenant alone' })
  tenantId?: string;
}

@ApiSchema({ name: 'BacklogOfTenant' })
export class BacklogOfTenantDto {
  @ApiProperty({ example: 'acme' }) tenantId!: string;
  @ApiProperty({ type: 'integer', example: 12 }) suspended!: number;
  @ApiProperty({ type: 'integer', example: 3 }) overdue!: number;
}

@ApiSchema({ name: 'BacklogOfOtherTenants' })
export class BacklogOfOtherTenantsDto {
  @ApiProperty({ type: 'integer', description: 'How many tenants these are' }) tenants!: number;
  @ApiProperty({ type: 'integer' }) suspended!: number;
  @ApiProperty({ type: 'integer' }) overdue!: number;
}

@ApiSchema({ name: 'BacklogAge' })
export class BacklogAgeDto {
  @ApiProperty({
    type: String,
    nullable: true,
    description: 'Suspended for at most so long, and longer than the class before; null: longer than all',
    example: '1m',
  })
  upTo!: string | null;
  @ApiProperty({ type: 'integer', example: 7 }) suspended!: number;
}

@ApiSchema({ name: 'Backlog' })
export class BacklogDto {
  @ApiProperty({ format: 'date-time', description: 'When it was counted: some seconds ago at most' }) asOf!: string;
  @ApiProperty({
    description: 'Whether more than 100,000 wait, so that the numbers are estimates from a sample; moments never are',
  })
  approximate!: boolean;
  @ApiProperty({ type: 'integer', example: 12 }) suspended!: number;
  @ApiProperty({ type: 'integer', example: 3 }) overdue!: number;
  @ApiProperty({ type: String, format: 'date-time', nullable: true }) oldestSuspendedSince!: string | null;
  @ApiProperty({ type: String, format: 'date-time', nullable: true, description: 'The next one that lies ahead' })
  nextDeadline!: string | null;
  @ApiProperty({ type: [BacklogOfTenantDto], description: 'The fifty with most that is suspended' })
  byTenant!: BacklogOfTenantDto[];
  @ApiProperty({ type: BacklogOfOtherTenantsDto }) otherTenants!: BacklogOfOtherTenantsDto;
  @ApiProperty({ type: [BacklogAgeDto] }) ages!: BacklogAgeDto[];
}
