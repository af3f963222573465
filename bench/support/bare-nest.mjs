import 'reflect-metadata';
import { pathToFileURL } from 'node:url';
import { Controller, Get, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';

/** What any Nest application costs: one route, nothing before it. Decorators are called, since this file isn't compiled. */
class BareController {
  answer() {
    return { status: 'ok' };
  }
}
Get('bare')(BareController.prototype, 'answer', Object.getOwnPropertyDescriptor(BareController.prototype, 'answer'));
Controller()(BareController);

class BareModule {}
Module({ controllers: [BareController] })(BareModule);

/** @param {number} port @returns {Promise<string>} its URL */
export async function serveBareNest(port) {
  const app = await NestFactory.create(BareModule, { logger: false });
  await app.listen(port, '127.0.0.1');
  return `http://127.0.0.1:${app.getHttpServer().address().port}`;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await serveBareNest(Number(process.env.PORT));
}
