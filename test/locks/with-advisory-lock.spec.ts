import { afterEach, expect, test } from '@jest/globals';
import { Inject, Injectable, Module, type Provider, Scope, SetMetadata } from '@nestjs/common';
import { Cron, Interval, ScheduleModule, Timeout } from '@nestjs/schedule';
import { Test } from '@nestjs/testing';
import { LockHolders } from '../../src/locks/lock-holders.service.js';
import { LockBusy } from '../../src/locks/lock-options.js';
import { lockSignal } from '../../src/locks/lock-signal.js';
import { LockedMethodsInvalidError, LockOptionsInvalidError } from '../../src/locks/locks.errors.js';
import { WithAdvisoryLock } from '../../src/locks/with-advisory-lock.decorator.js';
import { eventually } from '../support/eventually.js';
import { useDatabase } from '../support/world.js';
import { openApplication, stopApplications } from './applications.js';

const world = useDatabase();
afterEach(stopApplications);

const open = (...providers: Provider[]) =>
  openApplication({ databaseUrl: world.databaseUrl }, { imports: [ScheduleModule.forRoot()], providers });

@Injectable()
class Reports {
  constructor(private readonly holders: LockHolders) {}

  /** Says whether the lock of that tenant is held while this one's runs. */
  @WithAdvisoryLock<[string, string]>({ name: (tenant) => `report of ${tenant}`, onBusy: 'skip' })
  async write(_tenant: string, asked: string): Promise<string | undefined> {
    lockSignal().throwIfAborted();
    return (await this.holders.of(`report of ${asked}`))?.name;
  }

  @SetMetadata('above', 'kept')
  @WithAdvisoryLock({ name: 'nothing', onBusy: 'skip' })
  @SetMetadata('below', 'kept')
  async writeNothing(_first: string, _second: string): Promise<void> {}
}

test('a decorated method runs under its lock, named by its arguments, with itself as this', async () => {
  const reports = (await open(Reports)).get(Reports);
  expect(await reports.write('acme', 'acme')).toBe('report of acme');
  expect(await reports.write('acme', 'globex')).toBeUndefined();
});

test('a run that was skipped can be told from one that returned undefined', async () => {
  const [one, another] = [(await open(Reports)).get(Reports), (await open(Reports)).get(Reports)];
  const outcomes = await Promise.all([one, another].map((reports) => reports.write('acme', 'nobody')));
  expect(outcomes).toEqual(expect.arrayContaining([undefined, expect.any(LockBusy)]));
});

test('the decorator keeps name, length and metadata, whether above or below others', () => {
  const { writeNothing } = Reports.prototype;
  expect([writeNothing.name, writeNothing.length]).toEqual(['writeNothing', 2]);
  expect(Reflect.getMetadata('above', writeNothing)).toBe('kept');
  expect(Reflect.getMetadata('below', writeNothing)).toBe('kept');
});

/** Which of its methods ran, and each under which lock. */
@Injectable()
class Scheduled {
  readonly ran: Record<string, boolean> = {};
  constructor(private readonly holders: LockHolders) {}

  @Cron('* * * * * *')
  @WithAdvisoryLock({ name: 'below cron', onBusy: 'skip' })
  belowCron(): Promise<void> {
    return this.note('below cron');
  }

  @WithAdvisoryLock({ name: 'above cron', onBusy: 'skip' })
  @Cron('* * * * * *')
  aboveCron(): Promise<void> {
    return this.note('above cron');
  }

  @Interval(100)
  @WithAdvisoryLock({ name: 'below interval', onBusy: 'skip' })
  belowInterval(): Promise<void> {
    return this.note('below interval');
  }

  @WithAdvisoryLock({ name: 'above timeout', onBusy: 'skip' })
  @Timeout(100)
  aboveTimeout(): Promise<void> {
    return this.note('above timeout');
  }

  private async note(lock: string): Promise<void> {
    this.ran[lock] = (await this.holders.of(lock)) !== undefined;
  }
}

test('above or below @Cron, @Interval and @Timeout, methods are called on schedule and run under their locks', async () => {
  const { ran } = (await open(Scheduled)).get(Scheduled);
  const locks = ['below cron', 'above cron', 'below interval', 'above timeout'];
  await eventually(
    async () => Object.keys(ran).sort(),
    (names) => names.length === locks.length,
  );
  expect(ran).toEqual(Object.fromEntries(locks.map((lock) => [lock, true])));
});

test('without the locks module the application does not start', async () => {
  @Injectable()
  class Alone {
    @WithAdvisoryLock({ name: 'alone', onBusy: 'skip' })
    async run(): Promise<void> {}
  }
  const module = Test.createTestingModule({ providers: [Alone] });
  await expect(module.compile()).rejects.toThrow(/AdvisoryLockService/);
});

@Injectable()
class Mailer {
  @WithAdvisoryLock({ name: 'mail', onBusy: 'skip' })
  async send(): Promise<void> {}
}

@Injectable()
class Newsletter {
  @WithAdvisoryLock({ name: 'mail', onBusy: 'skip' })
  async publish(): Promise<void> {}
}

test('two methods that name the same lock stop the boot', async () => {
  const boot = open(Mailer, Newsletter);
  await expect(boot).rejects.toThrow(LockedMethodsInvalidError);
  await expect(boot).rejects.toThrow('"mail" is the lock of Mailer.send and of Newsletter.publish: name them apart');
});

test('one method in two modules, inherited, or under another token, is one method', async () => {
  @Injectable()
  class Subclass extends Mailer {}
  @Module({ providers: [Mailer] })
  class Another {}
  const app = await openApplication(
    { databaseUrl: world.databaseUrl },
    { imports: [Another], providers: [Mailer, Subclass, { provide: 'alias', useExisting: Mailer }] },
  );
  expect(await app.get(Subclass).send()).toBeUndefined();
});

test('request-scoped providers, themselves or by what they depend on, stop the boot', async () => {
  @Injectable({ scope: Scope.REQUEST })
  class OfRequest {
    @WithAdvisoryLock({ name: 'of request', onBusy: 'skip' })
    async run(): Promise<void> {}
  }
  @Injectable()
  class Dependent {
    constructor(@Inject(OfRequest) readonly other: OfRequest) {}
    @WithAdvisoryLock({ name: 'dependent', onBusy: 'skip' })
    async run(): Promise<void> {}
  }
  const boot = open(OfRequest, Dependent);
  await expect(boot).rejects.toThrow(LockedMethodsInvalidError);
  await expect(boot).rejects.toThrow(/OfRequest\.run is request-scoped.*Dependent\.run is request-scoped/s);
});

test('an instance that Nest has not built has no locks: that stops the boot, and a call of it runs nothing', async () => {
  const boot = open({ provide: Mailer, useFactory: () => new Mailer() });
  await expect(boot).rejects.toThrow(LockedMethodsInvalidError);
  await expect(boot).rejects.toThrow(/Mailer\.send has no lock service/);
  await expect(new Mailer().send()).rejects.toThrow(LockedMethodsInvalidError);
});

test('a transient provider has its locks', async () => {
  @Injectable({ scope: Scope.TRANSIENT })
  class Transient {
    @WithAdvisoryLock({ name: 'transient', onBusy: 'skip' })
    async run(): Promise<string> {
      return 'ran';
    }
  }
  expect(await (await (await open(Transient)).resolve(Transient)).run()).toBe('ran');
});

test('options that cannot be meant are refused when the class is defined', () => {
  expect(() => WithAdvisoryLock({ name: 'a', onBusy: 'skip', atMost: '30d' })).toThrow(LockOptionsInvalidError);
});
