import { Injectable, type OnModuleInit } from '@nestjs/common';
import { PATH_METADATA } from '@nestjs/common/constants.js';
import { DiscoveryService, MetadataScanner, Reflector } from '@nestjs/core';
import { ACCESS } from './access.decorators.js';
import { RouteUndeclaredError } from './access.errors.js';

/** Walks every route at boot and stops it where one doesn't say who may call it. */
@Injectable()
export class RouteDeclarations implements OnModuleInit {
  constructor(
    private readonly discovery: DiscoveryService,
    private readonly scanner: MetadataScanner,
    private readonly reflector: Reflector,
  ) {}

  onModuleInit(): void {
    const undeclared = this.discovery.getControllers().flatMap(({ metatype }) => {
      const prototype = metatype?.prototype ?? {};
      return this.scanner
        .getAllMethodNames(prototype)
        .filter((name) => Reflect.hasMetadata(PATH_METADATA, prototype[name]))
        .filter((name) => this.reflector.get(ACCESS, prototype[name]) === undefined)
        .map((name) => `${metatype?.name}.${name}`);
    });
    if (undeclared.length > 0) {
      throw new RouteUndeclaredError(undeclared);
    }
  }
}
