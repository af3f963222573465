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

  /** Of what is kept with a tenant's id, or with null where it is the platform's. */
  static of(tenantId: string | null): TenantScope {
    return new TenantScope(tenantId);
  }

  /** What a find by properties asks of the tenant's column: nothing for the whole platform. */
  get where(): { tenantId?: string } {
    return this.tenantId === null ? {} : { tenantId: this.tenantId };
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
