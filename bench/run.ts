import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import type { Measure } from './measure.js';
import { access } from './measures/access.js';
import { aftermath } from './measures/aftermath.js';
import { drain } from './measures/drain.js';
import { growth } from './measures/growth.js';
import { http } from './measures/http.js';
import { idle } from './measures/idle.js';
import { locks } from './measures/locks.js';
import { memory } from './measures/memory.js';
import { neighbours } from './measures/neighbours.js';
import { reads } from './measures/reads.js';
import { replicas } from './measures/replicas.js';
import { search } from './measures/search.js';
import { sizes } from './measures/sizes.js';
import { start } from './measures/start.js';
import { timeliness } from './measures/timeliness.js';
import { Report } from './report/report.js';
import type { Result } from './report/result.js';
import { render, save } from './report/saved-results.js';
import { tableOf } from './report/tables.js';
import { BenchServer } from './support/server.js';

const MEASURES = {
  drain,
  search,
  growth,
  neighbours,
  timeliness,
  replicas,
  http,
  memory,
  start,
  idle,
  locks,
  access,
  reads,
  aftermath,
  sizes,
};

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean' },
    only: { type: 'string', multiple: true },
    json: { type: 'string' },
    save: { type: 'boolean' },
    render: { type: 'boolean' },
  },
});
const unknown = options.only?.find((name) => !(name in MEASURES));
if (unknown !== undefined) {
  console.error(`--only ${unknown}: there is no such part; there are ${Object.keys(MEASURES).join(', ')}`);
  process.exit(2);
}
if (options.quick && options.save) {
  console.error('--save keeps figures, and those of --quick mean nothing');
  process.exit(2);
}
if (options.render) {
  await render();
  process.exit();
}

const server = await BenchServer.start();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void server.stop().finally(() => process.exit(1)));
}
const results: Result[] = [];
try {
  const database = await server.describe();
  if (!options.quick) {
    await server.makeWal();
  }
  for (const [name, { full, quick, take }] of Object.entries<Measure<object>>(MEASURES)) {
    if (options.only && !options.only.includes(name)) {
      continue;
    }
    const sizes = options.quick ? quick : full;
    const report = new Report(name, database, sizes, !options.quick);
    await take(server, sizes, report);
    results.push(report.result);
    console.log(`${tableOf(report.result)}\n`);
    if (options.save) {
      await save(report.result);
      await render();
    }
  }
} finally {
  await server.stop();
}
if (options.json) {
  await writeFile(options.json, `${JSON.stringify(results, null, 2)}\n`);
}
const missed = results.flatMap(({ lines }) => lines.filter(({ met }) => met === false));
if (missed.length > 0) {
  console.error(`missed: ${missed.map(({ measure }) => measure).join('; ')}`);
  process.exitCode = 1;
}
