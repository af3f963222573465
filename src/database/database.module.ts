import { type DynamicModule, Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import type { DataSource } from 'typeorm';
import { Configuration } from '../config/configuration.js';
import { dataSourceOptions } from './data-source-options.js';

/** Hands the data source that `openDatabase` returned to the application, which closes it when it shuts down. */
@Module({})
export class DatabaseModule {
  static for(dataSource: DataSource): DynamicModule {
    return {
      module: DatabaseModule,
      imports: [
        TypeOrmModule.forRootAsync({
          inject: [Configuration],
          useFactory: dataSourceOptions,
          dataSourceFactory: async () => dataSource,
        }),
      ],
    };
  }
}
