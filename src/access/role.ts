/** What a principal may do; each role includes the ones before it. */
export const ROLES = ['viewer', 'operator', 'admin'] as const;

export type Role = (typeof ROLES)[number];

/** Somebody who talks to an agent: sees what waits for approval in its own conversations, and nothing else. */
export const END_USER = 'end-user';

export function includesRole(held: Role | typeof END_USER, needed: Role): boolean {
  return held !== END_USER && ROLES.indexOf(held) >= ROLES.indexOf(needed);
}
