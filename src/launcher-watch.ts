import { isRunByPackageManager } from './config/launcher.js';

const POLL_MS = 250;

/** Before anything else runs, because the launcher may end at any time. */
const LAUNCHER_PID = process.ppid;

/**
 * Calls `stop` once the package manager that runs this process as a script (`npm start`) has ended. npm passes SIGTERM and
 * SIGINT on to its script, but a SIGHUP or SIGKILL ends npm alone, and a shell between npm and a script that doesn't `exec`
 * passes nothing on. The system tells no child of that, except that the child gets another parent.
 *
 * A process that anything else started, such as a shell with `&`, may outlive it.
 */
export function onLauncherEnd(stop: () => void): void {
  if (!isRunByPackageManager()) {
    return;
  }
  const timer = setInterval(() => {
    if (process.ppid !== LAUNCHER_PID) {
      clearInterval(timer);
      stop();
    }
  }, POLL_MS).unref();
}
