import { guardState } from '../../timeouts/late-approval-guard.state.js';
import type { Check } from './check.js';
import { ok, warn } from './finding.js';

export const guardCheck: Check = {
  name: 'guard',
  needs: 'watched-table',
  async look({ dataSource, watched }) {
    const state = await guardState(dataSource, watched);
    switch (state) {
      case 'installed':
        return ok('a late approval is refused');
      case 'missing':
        return ok('not installed, which is a choice: a late approval comes through, and is found afterwards');
      default:
        return warn(`the guard is ${state}`, 'run "lapse guard install"');
    }
  },
};
