import type { INestApplication } from '@nestjs/common';
import { Logger } from '@nestjs/common';
import { DataSource } from 'typeorm';
import type { Configuration } from './config/configuration.js';
import { describeServer, parseDatabaseUrl } from './config/database-address.js';
import { formatDuration } from './config/duration.js';
import { readLogSettings } from './config/log-settings.js';
import { LAPSE_VERSION } from './config/version.js';
import { messageOf } from './database/database.errors.js';
import { queryRow, RECORD_LIMITS } from './database/short-transaction.js';
import { LateApprovalGuard } from './timeouts/late-approval-guard.service.js';

const GUARD_STATES = {
  installed: 'installed',
  missing: 'not installed',
  disabled: 'switched off',
  outdated: 'outdated',
  ineffective: 'installed, but does not hold',
} as const;

/** Shows a person at a terminal where everything is and what to try; a log collector gets one record. */
export async function announce(app: INestApplication, configuration: Configuration): Promise<void> {
  const url = (await app.getUrl()).replace('[::1]', 'localhost').replace('[::]', 'localhost');
  if (configuration.embedded && readLogSettings().format === 'text') {
    process.stdout.write(banner(url, configuration));
    return;
  }
  const logger = new Logger('Lapse');
  logger.log(await startLine(app, url, configuration));
  if (configuration.adminKey === undefined) {
    logger.warn('LAPSE_ADMIN_KEY is not set: only API keys that exist already open anything');
  }
}

async function startLine(app: INestApplication, url: string, configuration: Configuration): Promise<string> {
  const { docs, schema, watchedSchema, approvalTimeout, sweepCron, embedded, dataDirectory } = configuration;
  return [
    `Listening on ${url}`,
    ...(docs ? [`Swagger UI at ${url}/docs`] : []),
    `version ${LAPSE_VERSION}`,
    await describeDatabase(app.get(DataSource), configuration),
    ...(embedded ? [`data directory ${dataDirectory}`] : []),
    `schema "${schema}"`,
    `watched table "${watchedSchema}".workflow_executions`,
    `timeout ${formatDuration(approvalTimeout)}`,
    `schedule ${sweepCron === undefined ? 'off' : `"${sweepCron}" (UTC)`}`,
    `guard ${await describeGuard(app)}`,
  ].join(', ');
}

/** The service is up already, and stays so if its database has just gone away. */
async function describeDatabase(dataSource: DataSource, { databaseUrl }: Configuration): Promise<string> {
  try {
    const { name, role, version } = await queryRow<{ name: string; role: string; version: string }>(
      dataSource,
      RECORD_LIMITS,
      `SELECT current_database() AS name, current_user AS role, current_setting('server_version') AS version`,
    );
    return `database "${name}" on ${describeServer(parseDatabaseUrl(databaseUrl))} as role "${role}" (PostgreSQL ${version})`;
  } catch (error) {
    return `database unknown (${messageOf(error)})`;
  }
}

async function describeGuard(app: INestApplication): Promise<string> {
  try {
    return GUARD_STATES[await app.get(LateApprovalGuard, { strict: false }).status()];
  } catch (error) {
    return `unknown (${messageOf(error)})`;
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
