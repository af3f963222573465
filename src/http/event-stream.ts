import { Readable } from 'node:stream';

/** Proxies close a connection on which nothing comes for a minute, some after half of one. */
const KEEP_ALIVE_INTERVAL_MS = 15_000;

/**
 * Server-sent events about something of which only the latest state matters. At most one event waits for the reader: a
 * slow one gets fewer events, and costs no more memory than a fast one.
 */
export class EventStream extends Readable {
  private latest = '';
  private waiting = '';
  private readerWaits = false;
  private isFinished = false;
  private quietSince = performance.now();

  constructor() {
    super({ highWaterMark: 1 });
  }

  /** Sends the state if it is another than before; else, after a quiet time, a comment that keeps the connection open. */
  send(event: string, state: unknown): void {
    const text = `event: ${event}\ndata: ${JSON.stringify(state)}\n\n`;
    if (text !== this.latest) {
      this.latest = text;
      this.waiting = text;
    } else if (this.waiting === '' && performance.now() - this.quietSince >= KEEP_ALIVE_INTERVAL_MS) {
      this.waiting = ': no change\n\n';
    }
    this.flush();
  }

  /** Ends the stream after the event that waits. */
  finish(): void {
    this.isFinished = true;
    this.flush();
  }

  override _read(): void {
    this.readerWaits = true;
    this.flush();
  }

  private flush(): void {
    if (!this.readerWaits || this.destroyed) {
      return;
    }
    if (this.waiting !== '') {
      const text = this.waiting;
      this.waiting = '';
      this.readerWaits = false;
      this.quietSince = performance.now();
      this.push(text);
    } else if (this.isFinished && !this.readableEnded) {
      this.readerWaits = false;
      this.push(null);
    }
  }
}
