import { expect, test } from '@jest/globals';
import { AdvisoryLockService } from '../src/locks/advisory-lock.service.js';
import { DatabaseProxy } from './support/database-proxy.js';
import { Lapse } from './support/lapse.js';
import { useWorld } from './support/world.js';

const world = useWorld();

test('a viewer of the platform sees the locks that another replica holds, a tenant sees none', async () => {
  const { lapse, databaseUrl } = world;
  const other = await Lapse.start(databaseUrl);
  const locks = other.app.get(AdvisoryLockService, { strict: false });

  await locks.withLock({ name: 'sweep of tenant acme', onBusy: 'skip' }, async () => {
    const { status, body } = await lapse.get('/v1/locks', await lapse.createKey('viewer'));
    expect(status).toBe(200);
    expect(body).toEqual({
      items: [
        {
          name: 'sweep of tenant acme',
          since: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
          applicationName: expect.stringMatching(new RegExp(`^lapse .+/${process.pid} sweep of tenant`)),
          clientAddress: '127.0.0.1',
          pid: expect.any(Number),
        },
      ],
      nextCursor: null,
    });
    for (const tenant of ['acme', 'globex']) {
      const refused = await lapse.get('/v1/locks', await lapse.createKey('admin', tenant));
      expect(refused.status).toBe(403);
      expect(refused.body).toMatchObject({ code: 'platform_credential_needed' });
      expect(JSON.stringify(refused.body)).not.toMatch(/acme|globex/);
    }
  });

  expect((await lapse.get('/v1/locks')).body.items).toEqual([]);
});

test.each(['cut', 'silence'] as const)('where the locks’ database is gone (%s), the answer is 503', async (how) => {
  const proxy = await DatabaseProxy.to(world.databaseUrl);
  const lapse = await Lapse.start(world.databaseUrl, { LAPSE_LOCK_DATABASE_URL: proxy.url });
  proxy[how]();

  const [locks, sweep] = [await lapse.get('/v1/locks'), await lapse.post('/v1/sweeps', {})];

  expect([locks.status, locks.body.code]).toEqual([503, 'locks_unavailable']);
  expect([sweep.status, sweep.body.code]).toEqual([503, 'sweeps_unavailable']);
  await proxy.stop();
});
