import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { DataSource } from 'typeorm';
import type { TenantScope } from '../access/tenant-scope.js';
import type { BatchItem, BatchJob } from './batch-job.js';
import { BatchPartition } from './batch-partition.js';
import { BatchRunner, type RunLimits } from './batch-runner.js';
import type { RunEnd } from './run-state.js';
import { SweepCountsRepository } from './sweep-counts.repository.js';

/** Runs the jobs of sweeps and of undos. */
@Injectable()
export class BatchRuns {
  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly counts: SweepCountsRepository,
  ) {}

  /**
   * Runs a job to its end.
   *
   * @param record the sweep or undo on whose record it is counted.
   * @throws as `BatchRunner.run` does.
   */
  run<Item extends BatchItem>(
    job: BatchJob<Item>,
    record: { id: string; scope: TenantScope },
    limits: RunLimits,
    signal: AbortSignal,
  ): Promise<RunEnd> {
    return new BatchRunner(
      job,
      (number, batchLimits) =>
        new BatchPartition(this.dataSource, this.counts, job, record, number, batchLimits, signal),
      limits,
      signal,
    ).run();
  }
}
