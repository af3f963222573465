/** The table that Lapse is to watch isn't there. */
export class WatchedTableMissingError extends Error {
  constructor(readonly schema: string) {
    super(
      `There is no table "${schema}".workflow_executions; set LAPSE_WATCHED_SCHEMA to the schema that holds it, ` +
        'or LAPSE_CREATE_WATCHED_TABLES=true to have it created',
    );
    this.name = 'WatchedTableMissingError';
  }
}

/** The table is there, but not such as Lapse can work on. */
export class WatchedTableUnsuitableError extends Error {
  constructor(
    readonly schema: string,
    readonly faults: readonly string[],
  ) {
    super(`The table "${schema}".workflow_executions can't be watched: ${faults.join('; ')}`);
    this.name = 'WatchedTableUnsuitableError';
  }
}
