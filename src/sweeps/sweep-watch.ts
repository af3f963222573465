import { setTimeout as delay } from 'node:timers/promises';
import type { EventStream } from '../http/event-stream.js';
import type { SweepDto } from './sweep-answer.js';

const POLL_INTERVAL_MS = 1_000;

/**
 * One running sweep, read once a second for all its streams together. The first stream starts the reading, the last one
 * stops it. Whoever adds a stream has checked that its reader may see the sweep.
 */
export class SweepWatch {
  private readonly streams = new Set<EventStream>();
  private readonly stopping = new AbortController();

  /** @param read throws if the sweep can't be read; then every stream breaks off, so that its reader connects again. */
  constructor(private readonly read: () => Promise<SweepDto>) {}

  /** True once nothing is read any more: a stream that were added now would wait for ever. */
  get isOver(): boolean {
    return this.stopping.signal.aborted;
  }

  add(stream: EventStream): void {
    this.streams.add(stream);
    stream.once('close', () => {
      this.streams.delete(stream);
      if (this.streams.size === 0) {
        this.stopping.abort();
      }
    });
  }

  /** Resolves when the sweep has ended, nobody watches it any more, or `finish` was called. Rejects if it can't be read. */
  async run(): Promise<void> {
    const { signal } = this.stopping;
    while (await pause(signal)) {
      // One that joins during the read has a state of its own that may be newer than what this read returns.
      const joined = [...this.streams];
      let sweep: SweepDto;
      try {
        sweep = await this.read();
      } catch (error) {
        this.stopping.abort();
        for (const stream of this.streams) {
          stream.destroy(error as Error);
        }
        throw error;
      }
      for (const stream of joined) {
        stream.send('sweep', sweep);
        if (sweep.status !== 'running') {
          this.streams.delete(stream);
          stream.finish();
        }
      }
      if (this.streams.size === 0) {
        this.stopping.abort();
      }
    }
  }

  /** Ends every stream, for a shutdown. */
  finish(): void {
    this.stopping.abort();
    for (const stream of this.streams) {
      stream.finish();
    }
  }
}

/** False if the signal aborted it. */
function pause(signal: AbortSignal): Promise<boolean> {
  return delay(POLL_INTERVAL_MS, true, { signal }).catch(() => false);
}
