import { afterAll, beforeAll, beforeEach } from '@jest/globals';
import { createDatabase, dropDatabase } from './databases.js';
import { Host } from './host.js';
import { Lapse } from './lapse.js';

export interface World {
  databaseUrl: string;
  lapse: Lapse;
  host: Host;
}

/** A database of the test file's own with a host and a service on it; emptied before each test. */
export function useWorld(environment: Record<string, string> = {}): World {
  const world = useDatabase() as World;
  beforeAll(async () => {
    world.lapse = await Lapse.start(world.databaseUrl, environment);
  });
  beforeEach(() => world.host.clear());
  return world;
}

/** A copy of the template with a host on it. A failing test keeps it, and its URL is printed. */
export function useDatabase(): Pick<World, 'databaseUrl' | 'host'> {
  const world = {} as World;
  beforeAll(async () => {
    world.databaseUrl = await createDatabase('template');
    world.host = new Host(world.databaseUrl);
  });
  afterAll(async () => {
    await Lapse.stopAll();
    await world.host?.stop();
    if ((globalThis as { someTestFailed?: boolean }).someTestFailed) {
      process.stderr.write(`The database of the failed test is kept: ${world.databaseUrl}\n`);
    } else {
      await dropDatabase(world.databaseUrl);
    }
  });
  return world;
}
