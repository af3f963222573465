/**
 * Hides the environment variables of libpq (`PGHOST`, `PGSSLMODE`, `PGOPTIONS` …) until the function that it returns is
 * called. The driver falls back to them for whatever it is not given, so a shell that is set up for `psql` would change
 * where Lapse connects and how. Nothing asynchronous may happen in between.
 */
export function hideLibpqVariables(environment: NodeJS.ProcessEnv = process.env): () => void {
  const hidden = Object.entries(environment).filter(([name]) => name.startsWith('PG'));
  for (const [name] of hidden) {
    delete environment[name];
  }
  return () => Object.assign(environment, Object.fromEntries(hidden));
}
