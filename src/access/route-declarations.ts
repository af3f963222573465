import { Injectable, type OnModuleInit, RequestMethod } from '@nestjs/common';
import { METHOD_METADATA, PATH_METADATA } from '@nestjs/common/constants.js';
import { DiscoveryService, MetadataScanner, Reflector } from '@nestjs/core';
import { ACCESS, type Access, AUDITED } from './access.decorators.js';
import { RouteUndeclaredError } from './access.errors.js';

type Handler = (...args: never[]) => unknown;

/** Walks every route at boot and stops it where one doesn't say who may call it, or changes something off the record. */
@Injectable()
export class RouteDeclarations implements OnModuleInit {
  constructor(
    private readonly discovery: DiscoveryService,
    private readonly scanner: MetadataScanner,
    private readonly reflector: Reflector,
  ) {}

  onModuleInit(): void {
    const routes = this.discovery.getControllers().flatMap(({ metatype }) => {
      const prototype = metatype?.prototype ?? {};
      return this.scanner
        .getAllMethodNames(prototype)
        .map((name) => ({ route: `${metatype?.name}.${name}`, handler: prototype[name] as Handler }))
        .filter(({ handler }) => Reflect.hasMetadata(PATH_METADATA, handler));
    });
    const undeclared = routes.filter(({ handler }) => this.accessOf(handler) === undefined);
    const unaudited = routes.filter(
      ({ handler }) => this.changesSomething(handler) && this.reflector.get(AUDITED, handler) === undefined,
    );
    if (undeclared.length + unaudited.length > 0) {
      const names = (of: typeof routes) => of.map(({ route }) => route);
      throw new RouteUndeclaredError(names(undeclared), names(unaudited));
    }
  }

  /** The cron route is a GET because that is all that some schedulers send. */
  private changesSomething(handler: Handler): boolean {
    return this.reflector.get(METHOD_METADATA, handler) !== RequestMethod.GET || this.accessOf(handler)?.to === 'cron';
  }

  private accessOf(handler: Handler): Access | undefined {
    return this.reflector.get(ACCESS, handler);
  }
}
