import { ForeignId } from '../http/foreign-id.js';

/** The project, of the tenant, that a path names. */
export class ProjectParams {
  @ForeignId({ example: 'acme' })
  tenantId!: string;

  @ForeignId({ example: 'support' })
  projectId!: string;
}
