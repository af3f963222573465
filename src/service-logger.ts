import { ConsoleLogger } from '@nestjs/common';

/** Who tells of every module and route while the service starts. The OpenAPI document says it better. */
const BOOT_CONTEXTS = ['NestFactory', 'InstanceLoader', 'RoutesResolver', 'RouterExplorer', 'NestApplication'];

/** One line an event: text for a person at a terminal, JSON for a log collector. */
export class ServiceLogger extends ConsoleLogger {
  constructor(format: 'text' | 'json') {
    super({
      json: format === 'json',
      colors: format === 'text' && process.stdout.isTTY === true,
      prefix: 'Lapse',
      logLevels: ['log', 'warn', 'error', 'fatal'],
    });
  }

  override log(message: unknown, ...rest: unknown[]): void {
    if (!BOOT_CONTEXTS.includes(String(rest.at(-1)))) {
      super.log(message, ...rest);
    }
  }
}
