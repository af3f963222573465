import { Global, Module } from '@nestjs/common';
import { AdvisoryLockService } from './advisory-lock.service.js';

/** Makes `@WithAdvisoryLock` and `AdvisoryLockService` usable in every module. */
@Global()
@Module({ providers: [AdvisoryLockService], exports: [AdvisoryLockService] })
export class LocksModule {}
