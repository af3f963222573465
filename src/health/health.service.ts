import { setTimeout as delay } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { DataSource } from 'typeorm';
import { ProblemError } from '../http/problem.error.js';

const ANSWER_WITHIN_MS = 2_000;

/** The database doesn't answer, so that no sweep can run and no list can be read. */
export class NotReadyError extends ProblemError {
  constructor(cause: unknown) {
    super({ status: 503, code: 'not_ready', detail: 'The database does not answer', cause });
  }
}

@Injectable()
export class HealthService {
  constructor(@InjectDataSource() private readonly dataSource: DataSource) {}

  /** @throws NotReadyError */
  async assertReady(): Promise<void> {
    const timer = new AbortController();
    const tooLate = delay(ANSWER_WITHIN_MS, undefined, { signal: timer.signal }).then(() => {
      throw new NotReadyError(`no answer within ${ANSWER_WITHIN_MS} ms`);
    });
    const answer = this.dataSource.query('SELECT 1').catch((error: unknown) => {
      throw new NotReadyError(error);
    });
    await Promise.race([answer, tooLate]).finally(() => timer.abort());
  }
}
