import { Module } from '@nestjs/common';
import { ExecutionsModule } from '../executions/executions.module.js';
import { SweepsModule } from '../sweeps/sweeps.module.js';
import { LateApprovalGuard } from './late-approval-guard.service.js';
import { ReopeningsController } from './reopenings.controller.js';
import { ReopeningsRepository } from './reopenings.repository.js';
import { ReopeningsService } from './reopenings.service.js';
import { ResurrectionsRepository } from './resurrections.repository.js';
import { ResurrectionsService } from './resurrections.service.js';
import { TimeoutsController } from './timeouts.controller.js';
import { TimeoutsRepository } from './timeouts.repository.js';
import { TimeoutsService } from './timeouts.service.js';
import { UndoRunner } from './undo-runner.service.js';
import { UndoSelectionRepository } from './undo-selection.repository.js';

@Module({
  imports: [ExecutionsModule, SweepsModule],
  controllers: [ReopeningsController, TimeoutsController],
  providers: [
    LateApprovalGuard,
    ResurrectionsRepository,
    ResurrectionsService,
    ReopeningsRepository,
    ReopeningsService,
    TimeoutsRepository,
    TimeoutsService,
    UndoRunner,
    UndoSelectionRepository,
  ],
})
export class TimeoutsModule {}
