import { Module } from '@nestjs/common';
import { getDataSourceToken } from '@nestjs/typeorm';
import type { DataSource } from 'typeorm';
import { Configuration } from '../config/configuration.js';
import { PendingApprovalsController } from './pending-approvals.controller.js';
import { PendingApprovalsRepository } from './pending-approvals.repository.js';
import { PendingApprovalsService } from './pending-approvals.service.js';
import { inspectWatchedTable, WatchedTable } from './watched-table.js';
import { WatchedTableIndexes } from './watched-table-indexes.js';

@Module({
  controllers: [PendingApprovalsController],
  providers: [
    {
      provide: WatchedTable,
      inject: [getDataSourceToken(), Configuration],
      useFactory: (dataSource: DataSource, { watchedSchema }: Configuration) =>
        inspectWatchedTable(dataSource, watchedSchema),
    },
    WatchedTableIndexes,
    PendingApprovalsRepository,
    PendingApprovalsService,
  ],
  exports: [WatchedTable],
})
export class ExecutionsModule {}
