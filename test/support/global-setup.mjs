import { buildPrograms } from './programs.mjs';

export default async function setUp() {
  await buildPrograms();
  const { default: startServer } = await import('../../dist/test/support/start-server.js');
  await startServer();
}
