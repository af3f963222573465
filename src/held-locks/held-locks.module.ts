import { Module } from '@nestjs/common';
import { HeldLocksController } from './held-locks.controller.js';
import { HeldLocksService } from './held-locks.service.js';

@Module({ controllers: [HeldLocksController], providers: [HeldLocksService] })
export class HeldLocksModule {}
