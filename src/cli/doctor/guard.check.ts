import { examineGuard } from '../../timeouts/late-approval-guard.state.js';
import type { Check } from './check.js';
import { fail, ok, warn } from './finding.js';

export const guardCheck: Check = {
  name: 'guard',
  needs: 'watched-table',
  async look({ dataSource, watched }) {
    const { state, tried, reason, exemptRoles } = await examineGuard(dataSource, watched);
    switch (state) {
      case 'installed':
        if (exemptRoles.length > 0) {
          return warn(
            `it does not hold for ${exemptRoles.join(', ')}, whose sessions fire no trigger`,
            'reset session_replication_role of each role and database with which the host connects',
          );
        }
        return ok(tried ? 'a late approval is refused: tried, and rolled back' : `installed; not tried: ${reason}`);
      case 'missing':
        return ok('not installed, which is a choice: a late approval comes through, and is found afterwards');
      case 'ineffective':
        return fail(
          `it is installed, and does not hold: ${reason}`,
          'remove the cause, and run "lapse guard status"; docs/late-approvals.md lists what the guard needs',
        );
      default:
        return warn(`the guard is ${state}: ${reason}`, 'run "lapse guard install"');
    }
  },
};
