import { OptionalForeignId } from '../http/foreign-id.js';

/** `--tenant`, of a command whose other input no DTO of the API describes. */
export class TenantOption {
  @OptionalForeignId()
  tenantId?: string;
}
