import { TenantNotFoundError } from './access.errors.js';

/** Whose rows may be touched: one tenant's, or the whole platform's. Every repository method takes one first. */
export class TenantScope {
  private constructor(
    /** Null for the whole platform. */
    readonly tenantId: string | null,
  ) {}

  static platform(): TenantScope {
    return new TenantScope(null);
  }

  static tenant(tenantId: string): TenantScope {
    return new TenantScope(tenantId);
  }

  /**
   * The scope of this one that `tenantId` names; the same one where it is left out.
   *
   * @throws TenantNotFoundError where it is another tenant than the one this scope is bound to: exactly as if that
   *   tenant didn't exist.
   */
  narrowedTo(tenantId: string | undefined): TenantScope {
    if (tenantId === undefined || tenantId === this.tenantId) {
      return this;
    }
    if (this.tenantId !== null) {
      throw new TenantNotFoundError();
    }
    return TenantScope.tenant(tenantId);
  }
}
