import 'reflect-metadata';
import './skewed-clock.js';
import { setTimeout as delay } from 'node:timers/promises';
import { Injectable, Module, type OnApplicationShutdown } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Cron, ScheduleModule } from '@nestjs/schedule';
import pg from 'pg';
import { LocksModule } from '../../src/locks/locks.module.js';
import { WithAdvisoryLock } from '../../src/locks/with-advisory-lock.decorator.js';

/** Started by lock-endurance.spec.ts: an application that has a run each second, under a lock that replicas share. */
const [databaseUrl] = process.argv.slice(2) as [string];

@Injectable()
class Ticker implements OnApplicationShutdown {
  private readonly pool = new pg.Pool({ connectionString: databaseUrl });

  /** Kept longer than the clocks differ, and freed before the clock that goes ahead comes to its next tick. */
  @Cron('* * * * * *')
  @WithAdvisoryLock({ name: 'tick', onBusy: 'skip', atLeast: '700ms' })
  async tick(): Promise<void> {
    const { rows } = await this.pool.query(
      'INSERT INTO runs (tick, replica, began) VALUES ($1, $2, clock_timestamp()) RETURNING id',
      [Math.round(Date.now() / 1000), process.pid],
    );
    await delay(50);
    await this.pool.query('UPDATE runs SET ended = clock_timestamp() WHERE id = $1', [rows[0].id]);
  }

  onApplicationShutdown(): Promise<void> {
    return this.pool.end();
  }
}

@Module({
  imports: [ScheduleModule.forRoot(), LocksModule.for({ application: 'ticking', databaseUrl, schema: 'public' })],
  providers: [Ticker],
})
class TickingModule {}

const app = await NestFactory.createApplicationContext(TickingModule, { logger: ['error'] });
process.once('disconnect', () => void app.close());
process.send?.('ticking');
