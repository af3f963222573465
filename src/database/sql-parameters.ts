/** Collects the values of a statement, and names each where it is used: `$1`, `$2`, … */
export class SqlParameters {
  readonly values: unknown[] = [];

  add(value: unknown): string {
    this.values.push(value);
    return `$${this.values.length}`;
  }
}
