/**
 * How many executions the next batch takes. Halves where a batch fails, so that guilty rows are narrowed down by
 * bisection: among n rows one is found in about log2(n) batches. Doubles again as batches succeed, which after a row
 * was isolated also keeps a run of guilty rows cheap.
 */
export class BatchSize {
  private size: number;
  /** Of the rows that come next, at least one among this many made a batch fail. 0 where none is known to. */
  private suspects = 0;

  constructor(private readonly largest: number) {
    this.size = largest;
  }

  get rows(): number {
    return this.size;
  }

  succeeded(rows: number): void {
    this.suspects = Math.max(this.suspects - rows, 0);
    this.size = this.suspects > 1 ? Math.ceil(this.suspects / 2) : this.suspects || this.doubled();
  }

  /** @param rows how many the failed batch was to take: the size, or fewer near a limit. */
  failed(rows: number): void {
    this.suspects = rows;
    this.size = Math.ceil(rows / 2);
  }

  /** The batch of one was the guilty row itself, and it has been passed. */
  isolated(): void {
    this.suspects = 0;
    this.size = 1;
  }

  private doubled(): number {
    return Math.min(this.size * 2, this.largest);
  }
}
