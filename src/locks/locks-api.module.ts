import { Module } from '@nestjs/common';
import { LocksController } from './locks.controller.js';

/** The route that shows the locks. Apart from LocksModule, which needs nothing of the service around it. */
@Module({ controllers: [LocksController] })
export class LocksApiModule {}
