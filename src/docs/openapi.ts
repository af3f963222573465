import type { INestApplication } from '@nestjs/common';
import { DocumentBuilder, type OpenAPIObject, SwaggerModule } from '@nestjs/swagger';
import { problemResponses } from '../http/problem.dto.js';

const DESCRIPTION = `Times out workflow executions that waited too long for a person's approval.

**Scope.** A credential is bound to one tenant or to the platform. What is outside its scope doesn't exist for it: 404.

**Lists** answer \`{items, nextCursor}\`. Ask for the next page with the same filters and \`cursor=<nextCursor>\`; the
list ends where \`nextCursor\` is null. With \`Accept: text/csv\` a list is a table for spreadsheets (RFC 4180), whole
unless \`limit\` is given; then the header \`Link\` leads to the next page. Text that a spreadsheet would take for a
formula begins with an apostrophe there.

**Input** is refused whole: an unknown member or parameter is a fault like any other, and \`errors\` names each.

**Limits.** Answers carry \`RateLimit-Policy\` (the quota and its window) and \`RateLimit\` (what is left of it);
beyond it comes 429 with \`Retry-After\`.

**Request ids.** An \`X-Request-Id\` that you send, else one that is made, comes back, and is in the log and on the
audit log.

**Times** are UTC, to the millisecond. What the database holds before the year 1 or after 9999, infinity included, is
shown as 0001-01-01T00:00:00.000Z or 9999-12-31T23:59:59.999Z. Input is RFC 3339 within these years, with seconds and an
offset of less than 16 hours; in a query the + of an offset is written %2B.

**Text** is UTF-8, in headers too. Lengths are in characters, that is, Unicode code points. What the encoding of the
database does not have is refused with 400 and \`character_not_storable\`.`;

/** The OpenAPI document of the routes that the application really has. */
export function describeApi(app: INestApplication): OpenAPIObject {
  const frame = new DocumentBuilder()
    .setOpenAPIVersion('3.1.0')
    .setTitle('Lapse')
    .setDescription(DESCRIPTION)
    .setVersion('1')
    .setLicense('MIT', 'https://opensource.org/license/mit')
    .addServer('/')
    .addBearerAuth({ type: 'http', bearerFormat: 'API key', description: 'An API key, or LAPSE_ADMIN_KEY' }, 'key')
    .addBearerAuth(
      { type: 'http', bearerFormat: 'secret', description: 'CRON_SECRET, for the cron route alone' },
      'cron-secret',
    )
    .addBearerAuth({ type: 'http', bearerFormat: 'JWT', description: 'A token of the configured issuer' }, 'jwt')
    .addTag('Executions', 'What waits for approval')
    .addTag('Sweeps', 'Time out what is overdue, and look at what was done')
    .addTag('Ledger', 'Every timeout, for ever')
    .addTag('Locks', 'What keeps runs of replicas from overlapping')
    .addTag('API keys', 'Who may call')
    .addTag('Audit log', 'Who did what, or was refused')
    .addTag('Drop-in', 'The two routes of the original service, with its bodies, answers and errors')
    .addTag('Health', 'Whether the process runs, and whether it can work')
    .build();
  const document = SwaggerModule.createDocument(app, frame);
  document.components = { ...document.components, responses: problemResponses() };
  return document;
}

/** Swagger UI at /docs, and the document at /openapi.json; it is made for the first who asks, to be ready sooner. */
export function serveDocs(app: INestApplication): void {
  SwaggerModule.setup('docs', app, () => describeApi(app), {
    jsonDocumentUrl: 'openapi.json',
    yamlDocumentUrl: 'openapi.yaml',
    customSiteTitle: 'Lapse',
    swaggerOptions: {
      defaultModelsExpandDepth: 0,
      persistAuthorization: true,
      displayRequestDuration: true,
      tryItOutEnabled: true,
    },
  });
}
