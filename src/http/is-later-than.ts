import { ValidateBy, type ValidationArguments } from 'class-validator';

/**
 * For the end of a period, whose beginning is another member. Only two readable times are compared.
 *
 * @param options `orEqual` for a filter: a period without any extent finds nothing, and harms nobody.
 */
export const IsLaterThan = (member: string, { orEqual = false } = {}) =>
  ValidateBy({
    name: 'isLaterThan',
    validator: {
      validate: (value, found) => {
        const [from, to] = [momentOf(beginning(member, found)), momentOf(value)];
        return !(orEqual ? to < from : to <= from);
      },
      defaultMessage: (found) =>
        `${orEqual ? 'must not be earlier' : 'must be later'} than ${member} (${beginning(member, found)}), not ${found?.value}`,
    },
  });

function beginning(member: string, found: ValidationArguments | undefined): unknown {
  return found && (found.object as Record<string, unknown>)[member];
}

function momentOf(value: unknown): number {
  return typeof value === 'string' ? Date.parse(value) : Number.NaN;
}
