import { availableParallelism } from 'node:os';
import { sharePackages } from './test/support/shared-packages.mjs';

/** @type {import('jest').Config} */
export default {
  roots: ['<rootDir>/src', '<rootDir>/test'],
  testMatch: ['**/*.spec.ts'],
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1', ...(await sharePackages()) },
  testEnvironment: '<rootDir>/test/support/environment.mjs',
  transform: { '\\.ts$': '@swc/jest' },
  globalSetup: '<rootDir>/test/support/global-setup.mjs',
  globalTeardown: '<rootDir>/test/support/global-teardown.mjs',
  // One more than there are processors: most tests wait for a server most of the time.
  maxWorkers: availableParallelism() + 1,
  testTimeout: 30_000,
};
