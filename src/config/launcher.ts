/** Whether a package manager (npm, npx, pnpm, yarn) runs this process as a script. */
export function isRunByPackageManager(variables: NodeJS.ProcessEnv = process.env): boolean {
  return variables.npm_lifecycle_event !== undefined;
}
