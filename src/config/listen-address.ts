/** What the service listens on unless the environment says otherwise. With its own database it is a trial: loopback only. */
const DEFAULT_PORT = 3000;
const DEFAULT_HOST = '0.0.0.0';
const DEFAULT_HOST_EMBEDDED = '127.0.0.1';

/** Set to nothing counts as not set. `readConfiguration` refuses what is not allowed. */
export function readListenAddress(
  variables: Partial<Record<'HOST' | 'PORT' | 'DATABASE_URL', string | undefined>> = process.env,
): { host: string; port: number } {
  const { HOST, PORT, DATABASE_URL } = variables;
  return {
    host: HOST || (DATABASE_URL ? DEFAULT_HOST : DEFAULT_HOST_EMBEDDED),
    port: Number(PORT || DEFAULT_PORT),
  };
}
