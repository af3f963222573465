import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { eventually } from '../support/eventually.js';

/** A replica in a process of its own (lock-replica.ts), told by messages what to do. */
export class LockProcess {
  private readonly messages: string[] = [];
  private readonly exited: Promise<unknown[]>;

  private constructor(private readonly child: ChildProcess) {
    this.exited = once(child, 'exit');
    child.on('message', (message) => this.messages.push(String(message)));
  }

  /** @param module the implementation of the locks, beside this file. */
  static start(module: string): LockProcess {
    return new LockProcess(fork('dist/test/locks/lock-replica.js', [module], { execArgv: ['--enable-source-maps'] }));
  }

  /** Opens the locks over that way, and closes those that were open. */
  async open(url: string): Promise<void> {
    await this.tell({ open: url }, 'opened', 60_000);
  }

  /** Adds to the counter of lock-contract.ts so many times, each time under the lock. */
  async count(databaseUrl: string, times: number): Promise<void> {
    await this.tell({ count: times, databaseUrl }, 'counted', 80_000);
  }

  async hold(name: string): Promise<void> {
    await this.tell({ hold: name }, 'held', 5_000);
  }

  /** With SIGSTOP the process stands still, and its kernel keeps its connections open; SIGCONT wakes it. */
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.child.kill(signal);
  }

  /** Waits until the work under its lock says how it was stopped. */
  async stopped(): Promise<string> {
    const messages = await eventually(
      async () => this.messages.filter((message) => message.startsWith('stopped: ')),
      ({ length }) => length > 0,
    );
    return messages[0] as string;
  }

  async end(signal: NodeJS.Signals): Promise<{ code: number | null; messages: string[] }> {
    this.child.kill(signal);
    if (this.child.exitCode === null && this.child.signalCode === null) {
      await this.exited;
    }
    return { code: this.child.exitCode, messages: this.messages };
  }

  private async tell(order: object, answer: string, withinMs: number): Promise<void> {
    const before = this.messages.length;
    this.child.send(order);
    await eventually(
      async () => this.messages.slice(before),
      (messages) => messages.includes(answer),
      withinMs,
    );
  }
}
