import type { Server } from 'node:http';
import type { DynamicModule } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import helmet from 'helmet';
import { trustProxies } from './access/client-address.js';
import { Configuration } from './config/configuration.js';
import { serveDocs } from './docs/openapi.js';
import { answerErrorsAsHost, answerErrorsAsOriginal, HOST_PATHS, ORIGINAL_PATHS } from './drop-in/drop-in-errors.js';
import { deferFault } from './http/deferred-fault.js';
import { DrainingAdapter } from './http/draining-adapter.js';
import { giveRequestId } from './http/request-id.js';
import { noteBody } from './http/required-body.interceptor.js';
import { StalledReaders } from './http/stalled-readers.js';
import { answerOptionsAndHead } from './http/unrouted.js';
import { refuseMalformedBody, refuseMalformedQuery } from './http/utf8.js';

/** Every body is read as JSON, whatever it calls itself: one that was passed over in silence would mean "all defaults". */
const BODY = { limit: '100kb', type: () => true, verify: verifyBody };

/** Room for a token that is far too long, so that it is refused like any other rather than by the parser. */
const LARGEST_HEADERS_BYTES = 96 * 1024;
const MOST_HEADERS = 100;

/** Within which somebody must have sent its headers, and its whole request; Node looks every 30 seconds. */
const HEADERS_WITHIN_MS = 10_000;
const REQUEST_WITHIN_MS = 30_000;

/** Longer than load balancers keep a connection that nobody uses, so that they, not we, close it. */
const KEEP_ALIVE_MS = 75_000;

const EXPOSED_HEADERS = ['Allow', 'Link', 'Location', 'Retry-After', 'RateLimit', 'RateLimit-Policy', 'X-Request-Id'];

/** Body parsing is set up here, and errors at boot are reported by the caller. What is left after the drain is cut. */
const OPTIONS = { bodyParser: false, abortOnError: false, forceCloseConnections: true } as const;

/** The service with its HTTP side, ready to listen. */
export async function createApp(module: DynamicModule): Promise<NestExpressApplication> {
  const adapter = new DrainingAdapter();
  const app = await NestFactory.create<NestExpressApplication>(module, adapter, OPTIONS);
  configure(app, adapter);
  return app;
}

function configure(express: NestExpressApplication, adapter: DrainingAdapter): void {
  const { docs, corsOrigins, trustedProxies } = express.get(Configuration);
  express.disable('x-powered-by');
  express.set('trust proxy', trustProxies(trustedProxies));
  limit(express.getHttpServer());
  express.use(express.get(StalledReaders).cut);
  express.use(giveRequestId);
  express.use(ORIGINAL_PATHS, answerErrorsAsOriginal);
  express.use(HOST_PATHS, answerErrorsAsHost);
  // Without "upgrade-insecure-requests": Lapse itself speaks HTTP, and Swagger UI must work where nothing else is before it.
  express.use(helmet({ contentSecurityPolicy: { directives: { upgradeInsecureRequests: null } } }));
  express.use(adapter.refuseWhileDraining);
  if (corsOrigins.length > 0) {
    express.enableCors({
      origin: [...corsOrigins],
      exposedHeaders: EXPOSED_HEADERS,
      maxAge: 600,
      preflightContinue: true,
    });
  }
  express.useBodyParser('json', BODY);
  express.use(refuseMalformedQuery);
  express.use(deferFault);
  express.use(answerOptionsAndHead);
  if (docs) {
    serveDocs(express);
  }
}

function verifyBody(request: unknown, response: unknown, body: Buffer): void {
  refuseMalformedBody(request, response, body);
  noteBody(request, body);
}

function limit(server: Server & { maxHeaderSize?: number }): void {
  server.maxHeaderSize = LARGEST_HEADERS_BYTES;
  server.maxHeadersCount = MOST_HEADERS;
  server.headersTimeout = HEADERS_WITHIN_MS;
  server.requestTimeout = REQUEST_WITHIN_MS;
  server.keepAliveTimeout = KEEP_ALIVE_MS;
}
