import { Controller, Get } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiProperty, ApiSchema, ApiTags } from '@nestjs/swagger';
import { OpenToAll } from '../access/access.decorators.js';
import { OpenProblems } from '../http/problem.dto.js';
import { HealthService } from './health.service.js';

@ApiSchema({ name: 'Health' })
class HealthDto {
  @ApiProperty({ enum: ['ok'] }) status!: 'ok';
}

@ApiTags('Health')
@Controller('health')
export class HealthController {
  constructor(private readonly health: HealthService) {}

  @Get('live')
  @OpenToAll()
  @ApiOperation({ operationId: 'live', summary: 'The process runs', security: [] })
  @ApiOkResponse({ type: HealthDto })
  @OpenProblems(400)
  live(): HealthDto {
    return { status: 'ok' };
  }

  @Get('ready')
  @OpenToAll()
  @ApiOperation({
    operationId: 'ready',
    summary: 'The process can work: its databases answer, can be written, and have the watched table',
    security: [],
  })
  @ApiOkResponse({ type: HealthDto })
  @OpenProblems(400, 503)
  async ready(): Promise<HealthDto> {
    await this.health.assertReady();
    return { status: 'ok' };
  }
}
