import { RECORD_LIMITS } from '../../database/short-transaction.js';
import { readOnlyReason } from '../../database/writability.js';
import type { Check } from './check.js';
import { fail, ok } from './finding.js';

export const writableCheck: Check = {
  name: 'writable',
  needs: 'database',
  async look({ dataSource }) {
    const reason = await readOnlyReason(dataSource, RECORD_LIMITS);
    return reason
      ? fail(`the database can't be written (${reason.kind}): ${reason.seen}`, reason.remedy)
      : ok('transactions can write');
  },
};
