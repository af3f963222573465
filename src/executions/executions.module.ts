import { Module } from '@nestjs/common';
import { getDataSourceToken } from '@nestjs/typeorm';
import type { DataSource } from 'typeorm';
import { Configuration } from '../config/configuration.js';
import { inspectWatchedTable, WatchedTable } from './watched-table.js';
import { WatchedTableIndexes } from './watched-table-indexes.js';

@Module({
  providers: [
    {
      provide: WatchedTable,
      inject: [getDataSourceToken(), Configuration],
      useFactory: (dataSource: DataSource, { watchedSchema }: Configuration) =>
        inspectWatchedTable(dataSource, watchedSchema),
    },
    WatchedTableIndexes,
  ],
  exports: [WatchedTable],
})
export class ExecutionsModule {}
