import { Logger } from '@nestjs/common';
import { examine } from '../../src/cli/doctor/examination.js';
import type { Finding } from '../../src/cli/doctor/finding.js';

/** What `lapse doctor` finds, in this process: one of its own needs more than a second to load the service. */
export class Examination {
  private constructor(readonly findings: readonly Finding[]) {}

  /** @param environment all of it: what it leaves out is not set, except for `PORT=0`. */
  static async in(environment: Record<string, string>): Promise<Examination> {
    const parts: { stop(): Promise<unknown> }[] = [];
    const findings: Finding[] = [];
    try {
      for await (const finding of examine({ started: (part) => parts.push(part) }, { PORT: '0', ...environment })) {
        findings.push(finding);
      }
    } finally {
      Logger.overrideLogger(false);
      await Promise.all(parts.map((part) => part.stop()));
    }
    return new Examination(findings);
  }

  /** What the command printed with `--json`. */
  static ofOutput(stdout: string): Examination {
    const { healthy, findings } = JSON.parse(stdout);
    const examination = new Examination(findings);
    if (healthy !== (examination.code === 0)) {
      throw new Error(`healthy is ${healthy}, and the findings say otherwise: ${stdout}`);
    }
    return examination;
  }

  /** What the command would end with. */
  get code(): 0 | 1 {
    return this.findings.some(({ verdict }) => verdict === 'fail') ? 1 : 0;
  }

  /** Of each check. */
  get verdicts(): Record<string, string> {
    return Object.fromEntries(this.findings.map(({ check, verdict }) => [check, verdict]));
  }

  of(check: string): Finding | undefined {
    return this.findings.find((finding) => finding.check === check);
  }
}
