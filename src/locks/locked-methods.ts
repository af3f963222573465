import { Injectable, type OnModuleInit } from '@nestjs/common';
import { DiscoveryService, MetadataScanner } from '@nestjs/core';
import { LockedMethodsInvalidError } from './locks.errors.js';
import { LOCK_NAME, LOCKS, notInjected } from './with-advisory-lock.decorator.js';

type Wrapper = ReturnType<DiscoveryService['getProviders']>[number];

interface LockedMethod {
  wrapper: Wrapper;
  /** As `Class.method`. */
  place: string;
  method: object;
  /** Null where the arguments of the call make it. */
  lockName: string | null;
}

/** Walks every method with `@WithAdvisoryLock` at boot and stops it where one wouldn't do what it says. */
@Injectable()
export class LockedMethods implements OnModuleInit {
  /** The names of locks that don't depend on arguments; complete once modules are initialized. */
  names: readonly string[] = [];

  constructor(
    private readonly discovery: DiscoveryService,
    private readonly scanner: MetadataScanner,
  ) {}

  onModuleInit(): void {
    const methods = [...this.discovery.getProviders(), ...this.discovery.getControllers()].flatMap((wrapper) =>
      this.lockedMethodsOf(wrapper),
    );
    const faults = [...methods.flatMap(faultsOf), ...sharedNames(methods)];
    if (faults.length > 0) {
      throw new LockedMethodsInvalidError([...new Set(faults)]);
    }
    this.names = methods.flatMap(({ lockName }) => lockName ?? []);
  }

  private lockedMethodsOf(wrapper: Wrapper): LockedMethod[] {
    const prototype = prototypeOf(wrapper);
    if (!prototype) {
      return [];
    }
    return this.scanner
      .getAllMethodNames(prototype)
      .filter((name) => Reflect.hasMetadata(LOCK_NAME, prototype[name]))
      .map((name) => ({
        wrapper,
        place: `${prototype.constructor.name}.${name}`,
        method: prototype[name],
        lockName: Reflect.getMetadata(LOCK_NAME, prototype[name]),
      }));
  }
}

/** Of a value or a factory's product there is only the instance to ask. */
function prototypeOf({ instance }: Wrapper) {
  return typeof instance === 'object' && instance !== null ? Object.getPrototypeOf(instance) : undefined;
}

function faultsOf({ wrapper, place }: LockedMethod): string[] {
  if (!wrapper.isDependencyTreeStatic()) {
    return [
      `${place} is request-scoped, itself or by what it depends on: no schedule would call it; make it a singleton`,
    ];
  }
  // What is kept of a transient provider is a model: each that asks for it gets an instance of its own.
  return wrapper.isTransient || wrapper.instance[LOCKS] ? [] : [notInjected(place)];
}

/** A method that a subclass inherits, or that two modules provide, is one method. */
function sharedNames(methods: readonly LockedMethod[]): string[] {
  const byName = new Map<string, Map<object, string>>();
  for (const { lockName, method, place } of methods) {
    if (lockName !== null) {
      byName.set(lockName, (byName.get(lockName) ?? new Map<object, string>()).set(method, place));
    }
  }
  return [...byName]
    .filter(([, places]) => places.size > 1)
    .map(([name, places]) => `"${name}" is the lock of ${[...places.values()].join(' and of ')}: name them apart`);
}
