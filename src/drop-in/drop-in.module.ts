import { Module } from '@nestjs/common';
import { SweepsModule } from '../sweeps/sweeps.module.js';
import { DropInController } from './drop-in.controller.js';
import { DropInService } from './drop-in.service.js';

@Module({ imports: [SweepsModule], controllers: [DropInController], providers: [DropInService] })
export class DropInModule {}
