import { applyDecorators, createParamDecorator, type ExecutionContext } from '@nestjs/common';
import { ApiHeader } from '@nestjs/swagger';
import type { Request } from 'express';
import { TenantHeader } from '../access/access.decorators.js';
import { idInHeader } from '../http/header-text.js';
import { MAX_ID_CHARACTERS } from '../http/input.validators.js';

const TENANT_HEADER = 'x-inkeep-tenant-id';
export const PROJECT_HEADER = 'x-inkeep-project-id';

const ID = { type: 'string', minLength: 1, maxLength: MAX_ID_CHARACTERS } as const;

/**
 * For a route that the reference host's callers use: its headers name tenant and project, and narrow what the credential
 * reaches. They never widen it.
 */
export const HostHeaders = ({ project }: { project: 'required' | 'optional' }) =>
  applyDecorators(
    TenantHeader(TENANT_HEADER),
    ApiHeader({
      name: 'X-Inkeep-Tenant-Id',
      required: false,
      description: 'Narrows as `X-Tenant-Id` does',
      schema: ID,
    }),
    ApiHeader({
      name: 'X-Inkeep-Project-Id',
      required: project === 'required',
      description: 'Narrows to this project',
      schema: { ...ID, ...(project === 'required' ? { example: 'support' } : {}) },
    }),
  );

/** The project that the header names; undefined without one. */
export const HostProject = createParamDecorator((_: unknown, context: ExecutionContext): string | undefined =>
  idInHeader(context.switchToHttp().getRequest<Request>(), PROJECT_HEADER),
);
