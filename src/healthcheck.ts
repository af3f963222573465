import { readListenAddress } from './config/listen-address.js';
import { assertAlive } from './liveness-probe.js';

/** For the HEALTHCHECK of a container: ends with 0 if the service that `HOST` and `PORT` name is alive, else with 1. */
try {
  await assertAlive(readListenAddress());
  process.exit(0);
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`);
  process.exit(1);
}
