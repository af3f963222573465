import type { INestApplication } from '@nestjs/common';
import { Logger } from '@nestjs/common';
import { AppModule } from '../../src/app.module.js';
import { readConfiguration } from '../../src/config/configuration.js';
import { createApp } from '../../src/configure-app.js';
import { openDatabase } from '../../src/database/open-database.js';

export const ADMIN_KEY = 'admin-key-of-the-tests-0123456789abcdef';
export const CRON_SECRET = 'cron-secret-of-the-tests';

export interface Answer {
  status: number;
  headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: a test looks into answers of every shape
  body: any;
}

/** A whole service in this process, on a port of its own, called over HTTP. */
export class Lapse {
  private static readonly running = new Set<Lapse>();

  private constructor(
    readonly app: INestApplication,
    readonly url: string,
  ) {}

  /**
   * Schedule and rate limit are off unless the environment sets them, and housekeeping runs only if asked for: nothing
   * happens but what a test asks for.
   */
  static async start(
    databaseUrl: string,
    environment: Record<string, string> = {},
    { housekeeping = false } = {},
  ): Promise<Lapse> {
    Logger.overrideLogger(process.env.LAPSE_TEST_LOG ? ['log', 'warn', 'error'] : false);
    const configuration = readConfiguration({
      DATABASE_URL: databaseUrl,
      LAPSE_ADMIN_KEY: ADMIN_KEY,
      CRON_SECRET,
      LAPSE_SWEEP_CRON: 'off',
      LAPSE_RATE_LIMIT: 'off',
      ...environment,
    });
    Object.assign(configuration, { housekeeping });
    const dataSource = await openDatabase(configuration);
    const app = await createApp(AppModule.for(configuration, dataSource)).catch(async (error) => {
      await dataSource.destroy();
      throw error;
    });
    await app.listen(0, '127.0.0.1');
    const lapse = new Lapse(app, (await app.getUrl()).replace('localhost', '127.0.0.1'));
    Lapse.running.add(lapse);
    return lapse;
  }

  async stop(): Promise<void> {
    Lapse.running.delete(this);
    await this.app.close();
  }

  /** Those that a failing test has left behind, which would keep the test runner waiting. */
  static async stopAll(): Promise<void> {
    await Promise.all([...Lapse.running].map((lapse) => lapse.stop()));
  }

  get(path: string, key: string = ADMIN_KEY): Promise<Answer> {
    return this.send('GET', path, key);
  }

  post(path: string, body: unknown = {}, key: string = ADMIN_KEY): Promise<Answer> {
    return this.send('POST', path, key, JSON.stringify(body));
  }

  delete(path: string, key: string = ADMIN_KEY): Promise<Answer> {
    return this.send('DELETE', path, key);
  }

  /** @param text the body exactly as it goes over the wire. */
  async send(
    method: string,
    path: string,
    key: string | null,
    text?: string,
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    const response = await fetch(this.url + path, {
      method,
      headers: {
        ...(key === null ? {} : { authorization: `Bearer ${key}` }),
        ...(text === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(text === undefined ? {} : { body: text }),
    });
    const answer = await response.text();
    const isJson = /json/.test(response.headers.get('content-type') ?? '');
    return {
      status: response.status,
      headers: response.headers,
      body: isJson && answer !== '' ? JSON.parse(answer) : answer,
    };
  }

  /** The text of a new API key. */
  async createKey(role: 'viewer' | 'operator' | 'admin', tenantId?: string): Promise<string> {
    const { status, body } = await this.post('/v1/api-keys', {
      name: `${role} of ${tenantId ?? 'platform'}`,
      role,
      tenantId,
    });
    if (status !== 201) {
      throw new Error(`No key: ${JSON.stringify(body)}`);
    }
    return body.key;
  }
}
