import { Module } from '@nestjs/common';
import { ExecutionsModule } from '../executions/executions.module.js';
import { SweepsModule } from '../sweeps/sweeps.module.js';
import { DropInController } from './drop-in.controller.js';
import { DropInService } from './drop-in.service.js';
import { HostApprovalsController } from './host-approvals.controller.js';

@Module({
  imports: [ExecutionsModule, SweepsModule],
  controllers: [DropInController, HostApprovalsController],
  providers: [DropInService],
})
export class DropInModule {}
