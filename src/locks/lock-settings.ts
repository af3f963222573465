/** Where locks are kept, and what tells them from other programs' locks there. Injected by its class. */
export abstract class LockSettings {
  /** PostgreSQL, directly or through a pooler in session or transaction mode. All replicas must name the same database. */
  abstract readonly databaseUrl: string;
  abstract readonly application: string;
  /** Installations of one application beside each other in a database differ in their schema. */
  abstract readonly schema: string;
}
