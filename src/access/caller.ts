import type { ExecutionContext } from '@nestjs/common';
import type { Response } from 'express';
import { requestIdOf } from '../http/request-id.js';
import { UnauthenticatedError } from './access.errors.js';
import { clientAddress } from './client-address.js';
import type { Caller, GuardedRequest } from './principal.js';

/** Who calls, as the guards have found out. */
export function callerOf(context: ExecutionContext): Caller {
  const request = context.switchToHttp().getRequest<GuardedRequest>();
  const { principal, scope, action } = request;
  if (!principal || !scope) {
    throw new UnauthenticatedError();
  }
  const requestId = requestIdOf(context.switchToHttp().getResponse<Response>());
  return { principal, scope, address: clientAddress(request), requestId, action };
}
