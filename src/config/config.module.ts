import { type DynamicModule, Module } from '@nestjs/common';
import { Configuration } from './configuration.js';

/** Hands the one configuration to whoever asks for `Configuration`. */
@Module({})
export class ConfigModule {
  static for(configuration: Configuration): DynamicModule {
    return {
      module: ConfigModule,
      global: true,
      providers: [{ provide: Configuration, useValue: configuration }],
      exports: [Configuration],
    };
  }
}
