import { type ArgumentMetadata, Injectable, type ValidationError, ValidationPipe } from '@nestjs/common';
import { isNestedTooDeeply, MAX_NESTING } from './nesting.js';
import { type InputFault, InvalidInputError } from './problem.error.js';

/** Names that class-transformer passes over in silence, because they could reach a prototype. */
const PASSED_OVER = ['__proto__', 'constructor', 'prototype'];

const UNKNOWN = 'is not known here; remove it';

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
      exceptionFactory: (errors: ValidationError[]) =>
        new InvalidInputError(errors.flatMap((error) => faultsOf(error))),
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
    const passedOver = PASSED_OVER.filter((name) => Object.hasOwn(given as object, name));
    if (passedOver.length > 0) {
      throw new InvalidInputError(passedOver.map((name) => ({ path: `${place}.${name}`, message: UNKNOWN })));
    }
    try {
      return await super.transform(given, metadata);
    } catch (error) {
      throw error instanceof InvalidInputError ? withPlace(error, place) : error;
    }
  }
}

function withPlace(error: InvalidInputError, place: string): InvalidInputError {
  return new InvalidInputError((error.errors ?? []).map((fault) => ({ ...fault, path: `${place}.${fault.path}` })));
}

function faultsOf(error: ValidationError, parent = ''): InputFault[] {
  const path = `${parent}${error.property}`;
  const own = Object.entries(error.constraints ?? {}).map(([constraint, message]) => ({
    path,
    message: constraint === 'whitelistValidation' ? UNKNOWN : withoutSubject(message, error.property),
  }));
  return [...own, ...(error.children ?? []).flatMap((child) => faultsOf(child, `${path}.`))];
}

/** The messages of class-validator begin with the property's name, which the path says already. */
function withoutSubject(message: string, property: string): string {
  return message.startsWith(`${property} `) ? message.slice(property.length + 1) : message;
}
