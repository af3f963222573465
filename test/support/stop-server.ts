import { rm } from 'node:fs/promises';
import type { EmbeddedPostgres } from '../../src/database/embedded-postgres/embedded-postgres.js';
import { dropTemplate, keptDatabases } from './databases.js';

/** A failing test keeps its database; one of our own server's needs the server's directory too. */
export default async function stopServer(): Promise<void> {
  const server = process.env.LAPSE_TEST_SERVER as string;
  await dropTemplate(server);
  const kept = await keptDatabases(server);
  const embedded = (globalThis as { lapseTestServer?: EmbeddedPostgres }).lapseTestServer;
  await embedded?.stop();
  if (embedded && kept.length === 0) {
    await rm(embedded.dataDirectory, { recursive: true, force: true });
  } else if (embedded) {
    process.stderr.write(
      `Kept ${kept.join(', ')}. To look at them, start their server: ` +
        `LAPSE_DATA_DIR=${embedded.dataDirectory} LAPSE_DEMO=false LAPSE_SWEEP_CRON=off npm start\n`,
    );
  }
}
