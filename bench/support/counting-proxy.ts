import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

/**
 * Stands between Lapse and PostgreSQL and counts how often somebody had to wait for the network: a turn is everything
 * that one connection sends until the server answers. A statement with its parameters is one; so is a whole script.
 */
export class CountingProxy {
  /** Turns of connections since the last reset, those of connecting and authenticating included. */
  turns = 0;
  /** Connections opened since the last reset. */
  connections = 0;
  /** Statements that the server has carried out since the last reset; one text can hold several. */
  statements = 0;

  private readonly sockets = new Set<Socket>();

  private constructor(
    private readonly listener: Server,
    readonly url: string,
  ) {}

  static async start(databaseUrl: string): Promise<CountingProxy> {
    const target = new URL(databaseUrl);
    const listener = createServer({ noDelay: true });
    listener.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    const url = new URL(databaseUrl);
    url.hostname = '127.0.0.1';
    url.port = String((listener.address() as { port: number }).port);
    const proxy = new CountingProxy(listener, url.href);
    listener.on('connection', (client) => proxy.relay(client, target));
    return proxy;
  }

  reset(): void {
    this.turns = 0;
    this.connections = 0;
    this.statements = 0;
  }

  async stop(): Promise<void> {
    for (const socket of this.sockets) {
      socket.destroy();
    }
    this.listener.close();
    await once(this.listener, 'close');
  }

  private relay(client: Socket, { hostname, port }: URL): void {
    const server = connect({ host: hostname, port: Number(port || 5432), noDelay: true });
    this.connections += 1;
    let serverSpokeLast = true;
    client.on('data', (sent) => {
      // A connection's goodbye waits for nobody.
      if (serverSpokeLast && !isTerminate(sent)) {
        this.turns += 1;
        serverSpokeLast = false;
      }
    });
    const countStatements = statementCounter();
    server.on('data', (answered: Buffer) => {
      serverSpokeLast = true;
      this.statements += countStatements(answered);
    });
    client.pipe(server).pipe(client);
    for (const socket of [client, server]) {
      this.sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.sockets.delete(socket);
        client.destroy();
        server.destroy();
      });
    }
  }
}

function isTerminate(message: Buffer): boolean {
  return message.length === 5 && message[0] === 'X'.charCodeAt(0);
}

/** Counts the messages CommandComplete in what a server sends, wherever the network cuts it. */
function statementCounter(): (chunk: Buffer) => number {
  let rest: Buffer = Buffer.alloc(0);
  return (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    let completed = 0;
    while (rest.length >= 5 && rest.length > rest.readInt32BE(1)) {
      completed += rest[0] === 'C'.charCodeAt(0) ? 1 : 0;
      rest = rest.subarray(1 + rest.readInt32BE(1));
    }
    return completed;
  };
}
