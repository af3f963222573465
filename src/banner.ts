import type { INestApplication } from '@nestjs/common';
import { Logger } from '@nestjs/common';
import type { Configuration } from './config/configuration.js';
import { formatDuration } from './config/duration.js';

/** Tells a person at a terminal where everything is and what to try; a log collector gets one line. */
export async function announce(app: INestApplication, configuration: Configuration): Promise<void> {
  const url = (await app.getUrl()).replace('[::1]', 'localhost').replace('[::]', 'localhost');
  if (configuration.embedded) {
    process.stdout.write(banner(url, configuration));
    return;
  }
  const logger = new Logger('Lapse');
  logger.log(`Listening on ${url}${configuration.docs ? `, Swagger UI at ${url}/docs` : ''}`);
  if (configuration.adminKey === undefined) {
    logger.warn('LAPSE_ADMIN_KEY is not set: only API keys that exist already open anything');
  }
}

function banner(url: string, configuration: Configuration): string {
  const { dataDirectory, adminKey, approvalTimeout, sweepCron, demo, docs } = configuration;
  const curl = `curl -X POST ${url}/v1/sweeps -H 'Authorization: Bearer ${adminKey}' -d '{}'`;
  return `
  Lapse is running with a PostgreSQL of its own.

    ${docs ? `Swagger UI      ${url}/docs` : `API             ${url}`}
    Data directory  ${dataDirectory}
    Admin key       ${adminKey}
    Timeout         ${formatDuration(approvalTimeout)}, swept ${sweepCron ? `by "${sweepCron}" (UTC)` : 'on request only'}
    Demo host       ${demo ? 'on: made-up tenants suspend, approve and forget (LAPSE_DEMO=false turns it off)' : 'off'}

  Try:  ${curl}

`;
}
