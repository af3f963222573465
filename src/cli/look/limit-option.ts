import { IsWholeNumberInQuery } from '../../http/input.validators.js';

/** `--limit`: a command follows the pages of the API, so it can show more than one of them. */
export class LimitOption {
  @IsWholeNumberInQuery(1, 10_000)
  limit!: number;
}
