import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { ExecutionsModule } from '../executions/executions.module.js';
import { BatchRuns } from './batch-runs.service.js';
import { FailuresController } from './failures.controller.js';
import { FailuresRepository } from './failures.repository.js';
import { FailuresService } from './failures.service.js';
import { Housekeeping } from './housekeeping.service.js';
import { OverdueExecutionsRepository } from './overdue-executions.repository.js';
import { RequestedSweeps } from './requested-sweeps.service.js';
import { ScheduleWatch } from './schedule-watch.service.js';
import { SweepEntity } from './sweep.entity.js';
import { SweepCountsRepository } from './sweep-counts.repository.js';
import { SweepLockNames } from './sweep-lock-names.service.js';
import { SweepPauses } from './sweep-pauses.service.js';
import { SweepProgress } from './sweep-progress.service.js';
import { SweepRecords } from './sweep-records.service.js';
import { SweepRunner } from './sweep-runner.service.js';
import { SweepSharesRepository } from './sweep-shares.repository.js';
import { SweepsController } from './sweeps.controller.js';
import { SweepsRepository } from './sweeps.repository.js';
import { SweepsScheduler } from './sweeps.scheduler.js';
import { SweepsService } from './sweeps.service.js';

@Module({
  imports: [ExecutionsModule, TypeOrmModule.forFeature([SweepEntity])],
  controllers: [SweepsController, FailuresController],
  providers: [
    BatchRuns,
    FailuresRepository,
    FailuresService,
    OverdueExecutionsRepository,
    Housekeeping,
    RequestedSweeps,
    ScheduleWatch,
    SweepCountsRepository,
    SweepLockNames,
    SweepPauses,
    SweepProgress,
    SweepRecords,
    SweepRunner,
    SweepSharesRepository,
    SweepsRepository,
    SweepsScheduler,
    SweepsService,
  ],
  exports: [BatchRuns, Housekeeping, SweepLockNames, SweepRecords, SweepsService],
})
export class SweepsModule {}
