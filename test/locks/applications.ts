import type { INestApplicationContext, ModuleMetadata } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { LocksModule } from '../../src/locks/locks.module.js';

const applications: INestApplicationContext[] = [];

/** A Nest application with locks and whatever else a test gives it; stopped after the test. */
export async function openApplication(
  settings: { databaseUrl: string; schema?: string },
  others: ModuleMetadata = {},
): Promise<INestApplicationContext> {
  const module = await Test.createTestingModule({
    ...others,
    imports: [LocksModule.for({ application: 'tested', schema: 'public', ...settings }), ...(others.imports ?? [])],
  }).compile();
  module.useLogger(false);
  applications.push(module);
  return module.init();
}

export async function stopApplications(): Promise<void> {
  await Promise.all(applications.splice(0).map((application) => application.close()));
}
