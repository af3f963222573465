/** Imported first by a process whose clock is to be wrong, by `CLOCK_SKEW_MS`: everything later reads it through Date. */
const skewMs = Number(process.env.CLOCK_SKEW_MS ?? 0);

class SkewedDate extends Date {
  constructor(...given: [] | [string | number | Date]) {
    super(given.length === 0 ? SkewedDate.now() : given[0]);
  }

  static override now(): number {
    return trueNow() + skewMs;
  }
}

const trueNow = Date.now;
globalThis.Date = SkewedDate as DateConstructor;
