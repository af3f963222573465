import { type DynamicModule, Global, Module } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { AdvisoryLockService } from './advisory-lock.service.js';
import { LockConnections } from './lock-connections.js';
import { LockHolders } from './lock-holders.service.js';
import { LockSettings } from './lock-settings.js';
import { LockedMethods } from './locked-methods.js';

/** Makes `@WithAdvisoryLock`, `AdvisoryLockService`, `LockedMethods` and `LockHolders` usable in every module. */
@Global()
@Module({})
export class LocksModule {
  /** The application doesn't start where locks don't work there: LocksUnreliableError says why. */
  static for(settings: LockSettings): DynamicModule {
    return {
      module: LocksModule,
      imports: [DiscoveryModule],
      providers: [
        { provide: LockSettings, useValue: settings },
        LockConnections,
        LockHolders,
        AdvisoryLockService,
        LockedMethods,
      ],
      exports: [AdvisoryLockService, LockedMethods, LockHolders],
    };
  }
}
