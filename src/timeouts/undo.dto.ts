import { ApiPropertyOptional } from '@nestjs/swagger';
import { IsBoolean, IsUUID, ValidateIf } from 'class-validator';
import { OptionalForeignId } from '../http/foreign-id.js';
import { IsLaterThan, IsMoment, IsText, MayBeLeftOut } from '../http/input.validators.js';

/** An undo without any bound would reopen everything that was ever timed out. */
const RequiredWithoutSweep = () =>
  ValidateIf((body: UndoBody, value) => value !== undefined || body.sweepId === undefined);

export class UndoBody {
  @ApiPropertyOptional({
    format: 'date-time',
    description: 'What was timed out at this time or later; required unless `sweepId` is given',
    example: '2026-11-24T22:00:00.000Z',
  })
  @RequiredWithoutSweep()
  @IsMoment()
  from?: string;

  @ApiPropertyOptional({
    format: 'date-time',
    description: 'What was timed out before this time; required unless `sweepId` is given',
    example: '2026-11-25T06:00:00.000Z',
  })
  @RequiredWithoutSweep()
  @IsMoment()
  @IsLaterThan('from')
  to?: string;

  @OptionalForeignId({ description: 'Only this tenant; a tenant-bound credential may leave it out', example: 'acme' })
  tenantId?: string;

  @OptionalForeignId({ description: 'Only this project', example: 'support' })
  projectId?: string;

  @OptionalForeignId({ description: 'Only executions of this agent', example: 'refund-agent' })
  agentId?: string;

  @ApiPropertyOptional({
    format: 'uuid',
    description: 'Only what this sweep has timed out; of a sweep of the platform a tenant undoes its own executions',
  })
  @MayBeLeftOut()
  @IsUUID(undefined, { message: 'must be the id of a sweep, a UUID' })
  sweepId?: string;

  @ApiPropertyOptional({
    description: 'Counts what would become of each, and changes nothing; false by default',
    example: true,
  })
  @MayBeLeftOut()
  @IsBoolean({ message: 'must be true or false' })
  dryRun?: boolean;

  @ApiPropertyOptional({
    minLength: 1,
    maxLength: 1000,
    description: 'Why; kept with the undo and with each timeout. Required unless `dryRun` is true',
    example: 'The timeout was set to 3 minutes instead of 30',
  })
  @ValidateIf((body: UndoBody, value) => value !== undefined || body.dryRun !== true)
  @IsText(1000)
  reason?: string;
}
