import { Injectable } from '@nestjs/common';
import { LockConnections } from './lock-connections.js';
import type { LockHolder } from './lock-holder.js';
import { LockSettings } from './lock-settings.js';
import { labelIn } from './lock-statements.js';

const HOLDERS = `
  SELECT a.query AS statement, a.xact_start AS since, a.application_name AS "applicationName",
         host(a.client_addr) AS "clientAddress", a.pid
    FROM pg_locks l JOIN pg_stat_activity a USING (pid)
   WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
     AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())`;

type HolderRow = Omit<LockHolder, 'name'> & { statement: string };

/** Asks PostgreSQL who holds which lock now, in whatever process. */
@Injectable()
export class LockHolders {
  constructor(
    private readonly settings: LockSettings,
    private readonly connections: LockConnections,
  ) {}

  /**
   * Who holds the lock now; undefined where nobody does.
   *
   * @throws LockUnavailableError
   */
  async of(name: string): Promise<LockHolder | undefined> {
    const rows = await this.connections.query<HolderRow>(
      `${HOLDERS} AND (l.classid::bigint << 32) | l.objid::bigint = $1::bigint`,
      [await this.connections.keyOf(name)],
      name,
    );
    return rows.map((row) => holderFrom(row, name))[0];
  }

  /**
   * Every lock of this application and schema that is held now, the longest held first. A key doesn't tell its name;
   * the holder's last statement does, and holders that connect with another role hide theirs.
   *
   * @throws LockUnavailableError
   */
  async all(): Promise<LockHolder[]> {
    const rows = await this.connections.query<HolderRow>(`${HOLDERS} ORDER BY a.xact_start, a.pid`, []);
    return rows.flatMap((row) => {
      const label = labelIn(row.statement);
      const isOurs = label?.application === this.settings.application && label.schema === this.settings.schema;
      return isOurs ? [holderFrom(row, label.name)] : [];
    });
  }
}

function holderFrom({ since, applicationName, clientAddress, pid }: HolderRow, name: string): LockHolder {
  return { name, since, applicationName, clientAddress, pid };
}
