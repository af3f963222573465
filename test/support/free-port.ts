import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';

/** For a program that can't choose one itself: free now, and so in all likelihood when the program starts. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
