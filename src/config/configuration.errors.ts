/** The environment can't be used as it is; carries all faults, in one line. */
export class ConfigurationInvalidError extends Error {
  constructor(readonly faults: readonly string[]) {
    super(`The configuration has ${faults.length} ${faults.length === 1 ? 'fault' : 'faults'}: ${faults.join('; ')}`);
    this.name = 'ConfigurationInvalidError';
  }
}
