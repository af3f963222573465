import { type ArgumentsHost, Catch, Logger } from '@nestjs/common';
import type { Response } from 'express';
import { clientAddress } from '../access/client-address.js';
import type { GuardedRequest } from '../access/principal.js';
import type { ProblemError } from '../http/problem.error.js';
import { asProblemError, ProblemFilter } from '../http/problem.filter.js';
import { requestIdOf } from '../http/request-id.js';
import { AuditLogService } from './audit-log.service.js';

const OWN_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Answers a problem as `ProblemFilter` does, after recording it if the route changes something. */
@Catch()
export class AuditingFilter extends ProblemFilter {
  private readonly auditLogger = new Logger('Audit');

  constructor(private readonly auditLog: AuditLogService) {
    super();
  }

  override async catch(error: unknown, host: ArgumentsHost): Promise<void> {
    const request = host.switchToHttp().getRequest<GuardedRequest>();
    const response = host.switchToHttp().getResponse<Response>();
    await this.record(asProblemError(error), request, requestIdOf(response));
    super.catch(error, host);
  }

  private async record(problem: ProblemError, request: GuardedRequest, requestId: string): Promise<void> {
    const { action, principal, scope, params } = request;
    if (action === undefined) {
      return;
    }
    const target = Object.values(params).find((value) => typeof value === 'string' && OWN_ID.test(value));
    const { status, code } = problem;
    try {
      await this.auditLog.recordRefused({
        ...{ action, principal, scope, requestId, status, code },
        address: clientAddress(request),
        target: typeof target === 'string' ? target : null,
      });
    } catch (error) {
      this.auditLogger.warn(`${action} (request ${requestId}, ${code}) is not on record: ${error}`);
    }
  }
}
