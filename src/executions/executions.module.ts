import { Module } from '@nestjs/common';
import { getDataSourceToken } from '@nestjs/typeorm';
import type { DataSource } from 'typeorm';
import { Configuration } from '../config/configuration.js';
import { BacklogController } from './backlog.controller.js';
import { BacklogRepository } from './backlog.repository.js';
import { BacklogService } from './backlog.service.js';
import { ExecutionsController } from './executions.controller.js';
import { ExecutionsRepository } from './executions.repository.js';
import { ExecutionsService } from './executions.service.js';
import { PendingApprovalsController } from './pending-approvals.controller.js';
import { PendingApprovalsRepository } from './pending-approvals.repository.js';
import { PendingApprovalsService } from './pending-approvals.service.js';
import { WatchedReads } from './watched-reads.js';
import { inspectWatchedTable, WatchedTable } from './watched-table.js';
import { WatchedTableIndexes } from './watched-table-indexes.js';

@Module({
  controllers: [BacklogController, ExecutionsController, PendingApprovalsController],
  providers: [
    {
      provide: WatchedTable,
      inject: [getDataSourceToken(), Configuration],
      useFactory: (dataSource: DataSource, { watchedSchema }: Configuration) =>
        inspectWatchedTable(dataSource, watchedSchema),
    },
    WatchedReads,
    WatchedTableIndexes,
    BacklogRepository,
    BacklogService,
    ExecutionsRepository,
    ExecutionsService,
    PendingApprovalsRepository,
    PendingApprovalsService,
  ],
  exports: [WatchedTable, PendingApprovalsService],
})
export class ExecutionsModule {}
