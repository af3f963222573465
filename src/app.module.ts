import { type DynamicModule, Module } from '@nestjs/common';
import { APP_FILTER, APP_INTERCEPTOR, APP_PIPE } from '@nestjs/core';
import { ScheduleModule } from '@nestjs/schedule';
import type { DataSource } from 'typeorm';
import { AccessModule } from './access/access.module.js';
import { AuditModule } from './audit/audit.module.js';
import { AuditingFilter } from './audit/auditing.filter.js';
import { ConfigModule } from './config/config.module.js';
import type { Configuration } from './config/configuration.js';
import { DatabaseModule } from './database/database.module.js';
import { lockSettings } from './database/lock-settings.js';
import { DropInModule } from './drop-in/drop-in.module.js';
import { HealthModule } from './health/health.module.js';
import { HeldLocksModule } from './held-locks/held-locks.module.js';
import { HttpModule } from './http/http.module.js';
import { InputPipe } from './http/input.pipe.js';
import { UnexpectedInput } from './http/unexpected-input.interceptor.js';
import { LocksModule } from './locks/locks.module.js';
import { StartPageModule } from './start-page/start-page.module.js';
import { SweepsModule } from './sweeps/sweeps.module.js';
import { TimeoutsModule } from './timeouts/timeouts.module.js';

@Module({})
export class AppModule {
  /** The whole service, on a database that `openDatabase` has made ready; the application closes it in the end. */
  static for(configuration: Configuration, dataSource: DataSource): DynamicModule {
    return {
      module: AppModule,
      imports: [
        ConfigModule.for(configuration),
        DatabaseModule.for(dataSource),
        ScheduleModule.forRoot(),
        LocksModule.for(lockSettings(configuration)),
        HeldLocksModule,
        HttpModule,
        AccessModule,
        AuditModule,
        SweepsModule,
        TimeoutsModule,
        DropInModule,
        HealthModule,
        StartPageModule,
      ],
      providers: [
        { provide: APP_FILTER, useClass: AuditingFilter },
        { provide: APP_PIPE, useClass: InputPipe },
        { provide: APP_INTERCEPTOR, useClass: UnexpectedInput },
      ],
    };
  }
}
