import { Agent, request } from 'node:http';
import { Controller, Get, Module } from '@nestjs/common';
import { getDataSourceToken } from '@nestjs/typeorm';
import type { DataSource } from 'typeorm';
import { OpenToAll, RequiresRole } from '../../src/access/access.decorators.js';
import { type ApiKey, generateApiKey, sha256 } from '../../src/access/api-key.js';
import { ApiKeyAuthenticator } from '../../src/access/api-key-authenticator.service.js';
import { ApiKeysRepository } from '../../src/access/api-keys.repository.js';
import { TenantScope } from '../../src/access/tenant-scope.js';
import type { Measure } from '../measure.js';
import type { Report } from '../report/report.js';
import { CountingProxy } from '../support/counting-proxy.js';
import { serveLapse } from '../support/lapse.js';
import { spreadOf } from '../support/statistics.js';

const DATABASE = 'lapse_bench_access';
const SLICES = 10;

/** One handler behind two declarations. */
@Controller('bench')
class BenchController {
  @Get('open')
  @OpenToAll()
  open(): object {
    return { status: 'ok' };
  }

  @Get('guarded')
  @RequiresRole('viewer')
  guarded(): object {
    return { status: 'ok' };
  }
}

@Module({ controllers: [BenchController] })
class BenchModule {}

interface Sizes {
  /** How often each of two routes is called, with and without authentication. */
  calls: number;
  /** How many credentials that open nothing are timed. */
  refusals: number;
}

/** What it costs that every call is authenticated, and what the time of a refusal tells. */
export const access: Measure<Sizes> = {
  full: { calls: 10_000, refusals: 2_000 },
  quick: { calls: 200, refusals: 100 },
  async take(server, sizes, report) {
    const proxy = await CountingProxy.start(await server.create(DATABASE));
    const app = await serveLapse(proxy.url, {}, BenchModule);
    try {
      const genuine = generateApiKey();
      const guesses = Array.from({ length: sizes.refusals / 2 }, () => generateApiKey());
      for (const { publicId, secret } of [genuine, ...guesses.map((key) => ({ ...key, secret: 'another' }))]) {
        await app.get(ApiKeysRepository, { strict: false }).insert(
          TenantScope.platform(),
          {
            publicId,
            secretHash: sha256(secret),
            name: 'bench',
            role: 'viewer',
            createdBy: 'bench',
            expiresAt: null,
          },
          app.get<DataSource>(getDataSourceToken()).manager,
        );
      }
      await measureGuards((await app.getUrl()).replace('localhost', '127.0.0.1'), genuine.text, proxy, sizes, report);
      await measureRefusals(app.get(ApiKeyAuthenticator, { strict: false }), guesses, report);
    } finally {
      await app.close();
      await proxy.stop();
    }
    await server.drop(DATABASE);
  },
};

/** CPU of this whole process, which is caller and server: what differs between the two routes is the guards'. */
async function measureGuards(
  url: string,
  key: string,
  proxy: CountingProxy,
  sizes: Sizes,
  report: Report,
): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const headers = { authorization: `Bearer ${key}` };
  const cpuOf = async (path: string): Promise<number> => {
    const before = process.cpuUsage();
    for (let time = 0; time < sizes.calls / SLICES; time += 1) {
      await get(agent, url + path, headers);
    }
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1000 / (sizes.calls / SLICES);
  };
  await cpuOf('/bench/open');
  await cpuOf('/bench/guarded');
  const slices: { open: number; guarded: number }[] = [];
  let queries = 0;
  for (let slice = 0; slice < SLICES; slice += 1) {
    const open = await cpuOf('/bench/open');
    await get(agent, `${url}/bench/guarded`, headers);
    proxy.reset();
    const guarded = await cpuOf('/bench/guarded');
    queries += proxy.statements;
    slices.push({ open, guarded });
  }
  agent.destroy();
  const added = spreadOf(slices.map(({ open, guarded }) => guarded - open));
  report.figure('access: CPU of a call without authentication', 'ms', spreadOf(slices.map(({ open }) => open)));
  report.claim('access: CPU that authentication adds to a call', 'ms', added, { atMost: 0.2 });
  const calls = SLICES * Math.ceil(sizes.calls / SLICES);
  report.claim('access: queries of a call with a warm cache', '', spreadOf([queries / calls]), { atMost: 0.01 });
}

/** A key that never was, and a key in use with a wrong secret, take turns; each comes first every other time. */
async function measureRefusals(authenticator: ApiKeyAuthenticator, guesses: ApiKey[], report: Report): Promise<void> {
  const timeOf = async (credential: string): Promise<number> => {
    const start = performance.now();
    await authenticator.authenticate(credential);
    return performance.now() - start;
  };
  const unknown: number[] = [];
  const wrong: number[] = [];
  for (const [pair, { text: guess }] of guesses.entries()) {
    const stranger = generateApiKey().text;
    if (pair % 2 === 0) {
      unknown.push(await timeOf(stranger));
      wrong.push(await timeOf(guess));
    } else {
      wrong.push(await timeOf(guess));
      unknown.push(await timeOf(stranger));
    }
  }
  const slower = unknown.filter((ms, pair) => ms > (wrong[pair] ?? 0)).length / unknown.length;
  report.figure('access: a key that never was is refused', 'ms', spreadOf(unknown));
  const ratio = spreadOf(unknown).median / spreadOf(wrong).median;
  report.figure('access: unknown key / wrong secret, of the medians', '×', spreadOf([ratio]));
  // Of 1,000 fair coins 95% of the time between 0.469 and 0.531 are heads; a difference to be measured would be beyond 0.55.
  report.claim(
    'access: pairs in which the unknown key is slower, off one half',
    '',
    spreadOf([Math.abs(slower - 0.5)]),
    {
      atMost: 0.05,
    },
  );
}

function get(agent: Agent, url: string, headers: Record<string, string>): Promise<void> {
  return new Promise((resolve, reject) => {
    request(url, { agent, headers }, (response) => {
      if (response.statusCode !== 200) {
        reject(new Error(`${url} answered ${response.statusCode}`));
      }
      response.resume().once('end', resolve);
    })
      .once('error', reject)
      .end();
  });
}
