import { Global, Module } from '@nestjs/common';
import { Cursors } from './cursors.service.js';
import { Pages } from './pages.service.js';
import { StalledReaders } from './stalled-readers.js';

/** Global, because every list is cut into pages. */
@Global()
@Module({ providers: [Cursors, Pages, StalledReaders], exports: [Pages] })
export class HttpModule {}
