import type { INestApplication } from '@nestjs/common';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { Configuration } from './config/configuration.js';
import { describeApi, serveDocs } from './docs/openapi.js';
import { answerErrorsAsDropIn, DROP_IN_PATHS } from './drop-in/drop-in-errors.js';
import { giveRequestId } from './http/request-id.js';

const LARGEST_BODY = '100kb';

/** For NestFactory and for tests: body parsing is set up here, and errors at boot are the caller's to tell. */
export const APP_OPTIONS = { bodyParser: false, abortOnError: false, forceCloseConnections: true } as const;

/** What every instance of the service gets, whoever creates it. */
export function configureApp(app: INestApplication): void {
  const express = app as NestExpressApplication;
  express.disable('x-powered-by');
  express.use(giveRequestId);
  express.use(DROP_IN_PATHS, answerErrorsAsDropIn);
  // Every body is read as JSON, whatever it calls itself: one that was passed over in silence would mean "all defaults".
  express.useBodyParser('json', { limit: LARGEST_BODY, type: () => true });
  if (app.get(Configuration).docs) {
    serveDocs(app, describeApi(app));
  }
}
