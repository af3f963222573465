import 'reflect-metadata';
import { DataSource } from 'typeorm';
import { readConfiguration } from './src/config/configuration.js';
import { dataSourceOptions } from './src/database/data-source-options.js';

/** For the TypeORM command line: `DATABASE_URL=… npm run typeorm -- migration:show`. */
export default new DataSource(dataSourceOptions(readConfiguration()));
