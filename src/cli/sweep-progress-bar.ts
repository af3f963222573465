import type { INestApplicationContext } from '@nestjs/common';
import { SingleBar } from 'cli-progress';
import type { TenantScope } from '../access/tenant-scope.js';
import { SweepProgress } from '../sweeps/sweep-progress.service.js';
import { SweepsService } from '../sweeps/sweeps.service.js';

const ASKED_EVERY_MS = 500;
/** A sweep that is over by then needs no bar. */
const SHOWN_AFTER_MS = 1_000;

/** Shows a person how far a long sweep is. What it shows comes from the sweep's record; it never disturbs the sweep. */
export class SweepProgressBar {
  private readonly bar: SingleBar;
  private timer: NodeJS.Timeout | undefined;
  private stopped = false;

  private constructor(
    private readonly app: INestApplicationContext,
    private readonly scope: TenantScope,
    stream: NodeJS.WritableStream,
  ) {
    const format = '{bar} {percentage} %  {value} of {total}  {duration_formatted}';
    this.bar = new SingleBar({ format, stream, hideCursor: true, clearOnComplete: true, barsize: 30 });
  }

  /** Undefined where the stream is no terminal: a bar in a file is rubbish. */
  static on(
    stream: NodeJS.WritableStream & { isTTY?: boolean },
    app: INestApplicationContext,
    scope: TenantScope,
  ): SweepProgressBar | undefined {
    return stream.isTTY === true ? new SweepProgressBar(app, scope, stream) : undefined;
  }

  follow(sweepId: string): void {
    this.timer = setTimeout(() => void this.show(sweepId).catch(() => this.stop()), SHOWN_AFTER_MS);
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
    this.bar.stop();
  }

  /** How much there is to do is counted once; what becomes overdue later isn't this sweep's. */
  private async show(sweepId: string): Promise<void> {
    const sweep = await this.app.get(SweepsService).get(this.scope, sweepId);
    const left = await this.app.get(SweepProgress).countLeft(this.scope, sweep);
    if (sweep.dryRun || this.stopped) {
      return;
    }
    this.bar.start(sweep.counts.total + left, sweep.counts.total);
    await this.update(sweepId);
  }

  private async update(sweepId: string): Promise<void> {
    const { counts } = await this.app.get(SweepsService).get(this.scope, sweepId);
    if (!this.stopped) {
      this.bar.update(Math.min(counts.total, this.bar.getTotal()));
      this.timer = setTimeout(() => void this.update(sweepId).catch(() => this.stop()), ASKED_EVERY_MS);
    }
  }
}
