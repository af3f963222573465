import type { INestApplication } from '@nestjs/common';
import { DocumentBuilder, type OpenAPIObject, SwaggerModule } from '@nestjs/swagger';

/** The OpenAPI document of the routes that the application really has. */
export function describeApi(app: INestApplication): OpenAPIObject {
  const frame = new DocumentBuilder()
    .setOpenAPIVersion('3.1.0')
    .setTitle('Lapse')
    .setDescription('Times out workflow executions that waited too long for approval.')
    .setVersion('1')
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
    .addTag('Health')
    .build();
  return SwaggerModule.createDocument(app, frame, { operationIdFactory: (_controller, method) => method });
}

/** Swagger UI at /docs, and the document at /openapi.json. */
export function serveDocs(app: INestApplication, document: OpenAPIObject): void {
  SwaggerModule.setup('docs', app, document, {
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
