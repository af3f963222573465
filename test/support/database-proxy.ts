import { once } from 'node:events';
import net from 'node:net';

/** Stands between Lapse and PostgreSQL, and takes the connection away when a test says so. */
export class DatabaseProxy {
  private readonly sockets = new Set<net.Socket>();
  private open = true;
  private silent = false;
  private losing: { text: string; lost: () => void } | undefined;

  private constructor(
    private readonly server: net.Server,
    readonly url: string,
  ) {}

  static async to(databaseUrl: string): Promise<DatabaseProxy> {
    const target = new URL(databaseUrl);
    let proxy: DatabaseProxy | undefined;
    const server = net.createServer((client) => proxy?.connect(client, target));
    // A test that fails before it stops it must not keep the test runner waiting.
    server.listen(0, '127.0.0.1').unref();
    await once(server, 'listening');
    const url = new URL(databaseUrl);
    url.host = `127.0.0.1:${(server.address() as net.AddressInfo).port}`;
    proxy = new DatabaseProxy(server, url.href);
    return proxy;
  }

  /** Ends every connection, and refuses new ones. */
  cut(): void {
    this.open = false;
    for (const socket of this.sockets) {
      socket.destroy();
    }
  }

  /** Connections that are made from now on work again. */
  mend(): void {
    this.open = true;
    this.silent = false;
  }

  /** Passes nothing on any more, not even that an end is gone: what a cable does that somebody has pulled. */
  silence(): void {
    this.silent = true;
    for (const socket of this.sockets) {
      socket.unpipe().resume();
    }
  }

  /**
   * Passes the next COMMIT on that follows a statement with this text, on the same connection, and ends the connection
   * when the server answers: the client never learns what became of its transaction.
   */
  loseCommitAfter(text: string): Promise<void> {
    return new Promise((resolve) => {
      this.losing = { text, lost: resolve };
    });
  }

  async stop(): Promise<void> {
    this.silent = false;
    this.cut();
    this.server.close();
    await once(this.server, 'close');
  }

  private connect(client: net.Socket, target: URL): void {
    if (!this.open) {
      client.destroy();
      return;
    }
    const server = net.connect(Number(target.port), target.hostname);
    this.watchForCommit(client, server);
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.sockets.add(socket.unref());
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.sockets.delete(socket);
        if (!this.silent) {
          other.destroy();
        }
      });
      socket.pipe(other);
    }
  }

  private watchForCommit(client: net.Socket, server: net.Socket): void {
    let hasSeen = false;
    client.on('data', (chunk: Buffer) => {
      const { losing } = this;
      hasSeen ||= losing !== undefined && chunk.includes(losing.text);
      if (losing && hasSeen && chunk.includes('COMMIT')) {
        this.losing = undefined;
        server.unpipe(client).resume();
        server.once('data', () => {
          client.destroy();
          losing.lost();
        });
      }
    });
  }
}
