import { ValidateBy, type ValidationArguments } from 'class-validator';

/** For the end of a period, whose beginning is another member. Only two readable times are compared. */
export const IsLaterThan = (member: string) =>
  ValidateBy({
    name: 'isLaterThan',
    validator: {
      validate: (value, found) => !(momentOf(value) <= momentOf(beginning(member, found))),
      defaultMessage: (found) => `must be later than ${member} (${beginning(member, found)}), not ${found?.value}`,
    },
  });

function beginning(member: string, found: ValidationArguments | undefined): unknown {
  return found && (found.object as Record<string, unknown>)[member];
}

function momentOf(value: unknown): number {
  return typeof value === 'string' ? Date.parse(value) : Number.NaN;
}
