import { Module } from '@nestjs/common';
import { SweepsModule } from '../sweeps/sweeps.module.js';
import { HeldLocksController } from './held-locks.controller.js';
import { HeldLocksService } from './held-locks.service.js';

@Module({ imports: [SweepsModule], controllers: [HeldLocksController], providers: [HeldLocksService] })
export class HeldLocksModule {}
