import { addressCheck } from './address.check.js';
import type { Check } from './check.js';
import { clockCheck } from './clock.check.js';
import { conversationsCheck } from './conversations.check.js';
import { guardCheck } from './guard.check.js';
import { indexesCheck } from './indexes.check.js';
import { locksCheck } from './locks.check.js';
import { migrationsCheck } from './migrations.check.js';
import { overdueCheck } from './overdue.check.js';
import { privilegesCheck } from './privileges.check.js';
import { scheduleCheck } from './schedule.check.js';
import { versionCheck } from './version.check.js';
import { writableCheck } from './writable.check.js';

/** What is looked at once there is a connection and the watched table is found, or not, in the order of the report. */
export const CHECKS: readonly Check[] = [
  versionCheck,
  writableCheck,
  migrationsCheck,
  indexesCheck,
  guardCheck,
  privilegesCheck,
  conversationsCheck,
  overdueCheck,
  clockCheck,
  locksCheck,
  scheduleCheck,
  addressCheck,
];
