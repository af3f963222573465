import type { ExecutionContext } from '@nestjs/common';
import type { Response } from 'express';
import { requestIdOf } from '../http/request-id.js';
import { UnauthenticatedError } from './access.errors.js';
import type { Caller, GuardedRequest } from './principal.js';

/** Who calls, as the guards have found out. */
export function callerOf(context: ExecutionContext): Caller {
  const { principal, scope, ip, action } = context.switchToHttp().getRequest<GuardedRequest>();
  if (!principal || !scope) {
    throw new UnauthenticatedError();
  }
  const requestId = requestIdOf(context.switchToHttp().getResponse<Response>());
  return { principal, scope, address: ip ?? '', requestId, action };
}
