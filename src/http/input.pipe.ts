import { type ArgumentMetadata, Injectable, SetMetadata, type ValidationError, ValidationPipe } from '@nestjs/common';
import { membersOf } from '../config/nearest-name.js';
import { isNestedTooDeeply, MAX_NESTING } from './nesting.js';
import { type InputFault, InvalidInputError } from './problem.error.js';
import { unknownName } from './unknown-names.js';

/** Names that class-transformer passes over in silence, because they could reach a prototype. */
const PASSED_OVER = ['__proto__', 'constructor', 'prototype'];

const IGNORES_UNKNOWN = 'lapse:ignores-unknown-members';

/** For the body of a route whose callers send members to another service that reads them: unknown ones are passed over. */
export const IgnoresUnknownMembers = () => SetMetadata(IGNORES_UNKNOWN, true);

const PLACES: Partial<Record<ArgumentMetadata['type'], string>> = { body: 'body', query: 'query', param: 'path' };

/** Checks what came against its DTO: unknown fields are refused, and every fault is named with its path. */
@Injectable()
export class InputPipe extends ValidationPipe {
  constructor() {
    super({
      whitelist: true,
      forbidNonWhitelisted: true,
      forbidUnknownValues: true,
      transform: true,
      validationError: { target: true },
      exceptionFactory: (errors: ValidationError[]) => new ValidationFailedError(errors),
    });
  }

  override async transform(value: unknown, metadata: ArgumentMetadata): Promise<unknown> {
    const place = PLACES[metadata.type];
    if (place === undefined) {
      return value;
    }
    // No body at all means a body without fields: every default applies.
    const given = value === undefined ? {} : value;
    if (metadata.type === 'body' && (typeof given !== 'object' || given === null || Array.isArray(given))) {
      throw new InvalidInputError([{ path: 'body', message: 'must be a JSON object' }]);
    }
    if (isNestedTooDeeply(given)) {
      throw new InvalidInputError([{ path: place, message: `is nested more than ${MAX_NESTING} levels deep` }]);
    }
    const known = membersOf(metadata.metatype);
    if (metadata.metatype && Reflect.hasMetadata(IGNORES_UNKNOWN, metadata.metatype)) {
      return this.check(
        Object.fromEntries(Object.entries(given as object).filter(([name]) => known.includes(name))),
        metadata,
      );
    }
    const passedOver = PASSED_OVER.filter((name) => Object.hasOwn(given as object, name));
    if (passedOver.length > 0) {
      throw new InvalidInputError(
        passedOver.map((name) => ({ path: `${place}.${name}`, message: unknownName(name, known) })),
      );
    }
    return this.check(given, metadata);
  }

  private async check(given: unknown, metadata: ArgumentMetadata): Promise<unknown> {
    const place = PLACES[metadata.type] as string;
    try {
      return await super.transform(given, metadata);
    } catch (error) {
      throw error instanceof ValidationFailedError
        ? new InvalidInputError(error.errors.flatMap((fault) => faultsOf(fault, `${place}.`)))
        : error;
    }
  }
}

/** What class-validator found, until it is known where the input came from. */
class ValidationFailedError extends Error {
  constructor(readonly errors: readonly ValidationError[]) {
    super('The input is invalid');
    this.name = 'ValidationFailedError';
  }
}

function faultsOf(error: ValidationError, parent: string): InputFault[] {
  const path = `${parent}${error.property}`;
  const messages = messagesOf(error);
  return [
    ...messages.map((message) => ({ path, message })),
    ...(error.children ?? []).flatMap((child) => faultsOf(child, `${path}.`)),
  ];
}

function messagesOf({ constraints = {}, property, target, value }: ValidationError): string[] {
  if ('whitelistValidation' in constraints) {
    return [unknownName(property, membersOf(target?.constructor))];
  }
  const messages = Object.values(constraints);
  return value === undefined && messages.length > 0
    ? ['is required']
    : messages.map((message) => withoutSubject(message, property));
}

/** The messages of class-validator begin with the property's name, which the path says already. */
function withoutSubject(message: string, property: string): string {
  return message.startsWith(`${property} `) ? message.slice(property.length + 1) : message;
}
