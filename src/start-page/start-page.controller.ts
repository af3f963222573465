import { Controller, Get, Req, Res } from '@nestjs/common';
import {
  ApiExtraModels,
  ApiOkResponse,
  ApiOperation,
  ApiProperty,
  ApiSchema,
  ApiTags,
  getSchemaPath,
} from '@nestjs/swagger';
import type { Request, Response } from 'express';
import { OpenToAll } from '../access/access.decorators.js';
import { Configuration } from '../config/configuration.js';
import { LAPSE_VERSION } from '../config/version.js';
import { OpenProblems } from '../http/problem.dto.js';
import { startPageHtml } from './start-page.html.js';

@ApiSchema({ name: 'StartPage' })
class StartPageDto {
  @ApiProperty({ enum: ['Lapse'] }) name!: 'Lapse';
  @ApiProperty({ example: '0.1.0' }) version!: string;
  @ApiProperty({ example: 'Times out workflow executions that waited too long for approval' }) description!: string;
  @ApiProperty({
    type: String,
    nullable: true,
    description: 'Swagger UI; null if LAPSE_DOCS is false',
    example: '/docs',
  })
  docs!: string | null;
  @ApiProperty({ type: String, nullable: true, example: '/openapi.json' }) openapi!: string | null;
  @ApiProperty({ example: '/health/live' }) live!: string;
  @ApiProperty({ example: '/health/ready' }) ready!: string;
}

@ApiTags('Health')
@ApiExtraModels(StartPageDto)
@Controller()
export class StartPageController {
  constructor(private readonly configuration: Configuration) {}

  @Get()
  @OpenToAll()
  @ApiOperation({ operationId: 'getStartPage', summary: 'Where everything is, as JSON or as a page', security: [] })
  @ApiOkResponse({
    description: 'JSON, unless the request prefers HTML',
    content: {
      'application/json': { schema: { $ref: getSchemaPath(StartPageDto) } },
      'text/html': { schema: { type: 'string' } },
    },
  })
  @OpenProblems(400)
  get(@Req() request: Request, @Res({ passthrough: true }) response: Response): StartPageDto | string {
    response.vary('Accept');
    const { docs } = this.configuration;
    const page = {
      name: 'Lapse',
      version: LAPSE_VERSION,
      description: 'Times out workflow executions that waited too long for approval',
      docs: docs ? '/docs' : null,
      openapi: docs ? '/openapi.json' : null,
      live: '/health/live',
      ready: '/health/ready',
    } as const;
    if (request.accepts(['json', 'html']) !== 'html') {
      return page;
    }
    response.type('html');
    return startPageHtml(page);
  }
}
