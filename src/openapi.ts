import 'reflect-metadata';
import { readFile, writeFile } from 'node:fs/promises';
import { NestFactory } from '@nestjs/core';
import { DataSource } from 'typeorm';
import { AppModule } from './app.module.js';
import { readConfiguration } from './config/configuration.js';
import { dataSourceOptions } from './database/data-source-options.js';
import { describeApi } from './docs/openapi.js';

const FILE = 'openapi.json';

/** Writes openapi.json; with `--check`, ends with 1 where the file differs from what the routes say. Needs no database. */
const configuration = readConfiguration({});
const dataSource = new DataSource(dataSourceOptions(configuration));
const app = await NestFactory.create(AppModule.for(configuration, dataSource), { preview: true, logger: ['error'] });
const document = `${JSON.stringify(describeApi(app), null, 2)}\n`;

if (!process.argv.includes('--check')) {
  await writeFile(FILE, document);
} else if ((await readFile(FILE, 'utf8').catch(() => '')) !== document) {
  process.stderr.write(`${FILE} is not what the routes say; run "npm run openapi" and commit it\n`);
  process.exitCode = 1;
}
