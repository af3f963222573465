/** The environment can't be used as it is; carries every fault found, not the first alone. */
export class ConfigurationInvalidError extends Error {
  constructor(readonly faults: readonly string[]) {
    super(
      `The configuration has ${faults.length} ${faults.length === 1 ? 'fault' : 'faults'}:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`,
    );
    this.name = 'ConfigurationInvalidError';
  }
}
