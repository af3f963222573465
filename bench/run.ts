import { parseArgs } from 'node:util';
import { measureAccess } from './access.js';
import { measureAftermath } from './aftermath.js';
import { measureDrain } from './drain.js';
import { measureIdle } from './idle.js';
import { measureLocks } from './locks.js';
import { measureMemory } from './memory.js';
import { measureReads } from './reads.js';
import { Report } from './report.js';
import { BenchServer } from './server.js';
import { FULL, QUICK } from './sizes.js';

const MEASURES = {
  drain: measureDrain,
  memory: measureMemory,
  idle: measureIdle,
  locks: measureLocks,
  access: measureAccess,
  reads: measureReads,
  aftermath: measureAftermath,
};

const { values: options } = parseArgs({
  options: { quick: { type: 'boolean' }, json: { type: 'string' }, only: { type: 'string', multiple: true } },
});
const sizes = options.quick ? QUICK : FULL;

const server = await BenchServer.start();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void server.stop().finally(() => process.exit(1)));
}
try {
  const report = new Report(await server.describe(), sizes, !options.quick);
  for (const [name, measure] of Object.entries(MEASURES)) {
    if (options.only?.includes(name) ?? true) {
      await measure(server, sizes, report);
    }
  }
  report.print();
  if (options.json) {
    await report.writeJson(options.json);
  }
  if (options.quick) {
    report.progress('a quick run shows that the benchmark works; its figures mean nothing');
  } else if (report.missed.length > 0) {
    report.progress(`missed: ${report.missed.join('; ')}`);
    process.exitCode = 1;
  }
} finally {
  await server.stop();
}
