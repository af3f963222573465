/** One fault of the input: where it is, as a path such as `body.limit`, and what is wrong with it. */
export interface InputFault {
  path: string;
  message: string;
}

/**
 * An error that a caller is told about. Features extend it with an error of their own for each thing that can go
 * wrong; every other error is answered with 500 and without its message.
 */
export class ProblemError extends Error {
  readonly status: number;
  /** A stable word for programs to branch on, in snake_case. */
  readonly code: string;
  readonly errors: readonly InputFault[] | undefined;
  /** Takes the place of the message in the log, and for a credential of the platform: who else uses the database, say. */
  readonly operatorDetail: string | undefined;
  readonly headers: Readonly<Record<string, string>>;

  constructor(problem: {
    status: number;
    code: string;
    detail: string;
    operatorDetail?: string;
    errors?: readonly InputFault[];
    headers?: Record<string, string>;
    cause?: unknown;
  }) {
    super(problem.detail, { cause: problem.cause });
    this.name = new.target.name;
    this.status = problem.status;
    this.code = problem.code;
    this.errors = problem.errors;
    this.operatorDetail = problem.operatorDetail;
    this.headers = problem.headers ?? {};
  }
}

/** The database answers and refuses every write: a standby, or transactions that are read-only by default. */
export class DatabaseReadOnlyProblemError extends ProblemError {
  constructor(cause: unknown, reason = 'the server is a standby, or its transactions are read-only') {
    super({
      status: 503,
      code: 'database_read_only',
      detail: `The database can be read but not written: ${reason}`,
      headers: { 'Retry-After': '5' },
      cause,
    });
  }
}

/** The input has a character that the encoding of the database, such as LATIN1, does not have. */
export class CharacterNotStorableError extends ProblemError {
  constructor(cause: unknown) {
    super({
      status: 400,
      code: 'character_not_storable',
      detail:
        'The request, or the credential, has a character that the encoding of the database does not have; leave it ' +
        'out. A database with the encoding UTF8 has every character',
      cause,
    });
  }
}

/** What is said of a path that leads nowhere. */
export const NOTHING_HERE = {
  status: 404,
  code: 'not_found',
  detail: 'There is nothing at this path',
} as const;

/** Of thousands of unknown members, the first ones are enough. */
const MAX_FAULTS = 20;

/** A path ends with a name that the caller made up. */
const MAX_PATH_CHARACTERS = 200;

/** What a caller sent can't be used; names what is wrong, and how much more is. */
export class InvalidInputError extends ProblemError {
  constructor(faults: readonly InputFault[]) {
    const errors = shortened(faults);
    super({
      status: 400,
      code: 'invalid_input',
      detail: errors.map(({ path, message }) => `${path}: ${message}`).join('; '),
      errors,
    });
  }
}

function shortened(faults: readonly InputFault[]): InputFault[] {
  const named = faults.slice(0, MAX_FAULTS).map(({ path, message }) => ({
    path: path.length > MAX_PATH_CHARACTERS ? `${path.slice(0, MAX_PATH_CHARACTERS).toWellFormed()}…` : path,
    message,
  }));
  const [next] = faults.slice(MAX_FAULTS);
  return next === undefined
    ? named
    : [...named, { path: next.path.split('.')[0] as string, message: `has ${faults.length - MAX_FAULTS} more faults` }];
}
