import { Module } from '@nestjs/common';
import { SweepsModule } from '../sweeps/sweeps.module.js';
import { TimeoutsController } from './timeouts.controller.js';
import { TimeoutsRepository } from './timeouts.repository.js';
import { TimeoutsService } from './timeouts.service.js';

@Module({
  imports: [SweepsModule],
  controllers: [TimeoutsController],
  providers: [TimeoutsRepository, TimeoutsService],
})
export class TimeoutsModule {}
