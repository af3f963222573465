import 'reflect-metadata';
import { type INestApplicationContext, Logger } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { AppModule } from '../src/app.module.js';
import { readConfiguration } from '../src/config/configuration.js';
import { openDatabase } from '../src/database/open-database.js';

/** The service as it is, without its HTTP side, in this process; it sweeps only when it is told to. */
export async function startLapse(databaseUrl: string): Promise<INestApplicationContext> {
  Logger.overrideLogger(false);
  const configuration = readConfiguration({
    DATABASE_URL: databaseUrl,
    LAPSE_LOCK_DATABASE_URL: databaseUrl,
    LAPSE_SWEEP_CRON: 'off',
  });
  const dataSource = await openDatabase(configuration);
  return NestFactory.createApplicationContext(AppModule.for(configuration, dataSource), { abortOnError: false });
}
