import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { Server as NetServer, type Socket } from 'node:net';
import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises';
import type { NestApplicationOptions } from '@nestjs/common';
import { ExpressAdapter } from '@nestjs/platform-express';
import type { NextFunction, Request, Response } from 'express';
import { ProblemError } from './problem.error.js';

/** From the beginning of the shutdown until what is still open is cut. Locks wait up to three seconds for their work. */
const DRAIN_TIMEOUT_MS = 3_500;

/** For the answers of what ended only when its lock was taken away. */
const MIN_DRAIN_MS = 250;

/** A request that arrived during the shutdown. Nothing was begun for it. */
export class ServiceDrainingError extends ProblemError {
  constructor() {
    super({
      status: 503,
      code: 'shutting_down',
      detail: 'Lapse is shutting down and begins nothing new; send the request again on a new connection',
      headers: { 'Retry-After': '1' },
    });
  }
}

interface Connection {
  /** Responses that have not gone out yet; several if the client pipelines. */
  open: Set<ServerResponse>;
  /** How much had been read when nothing was open any more: if it is more by now, a request is coming in. */
  bytesReadAtRest: number;
}

/**
 * Express, with a shutdown that answers what is in flight. At its beginning the service stops accepting, closes idle
 * connections, and marks the others to be closed after their answer; Nest then tells running work to stop. What is still
 * open after a bounded time is cut, before Nest closes the database.
 */
export class DrainingAdapter extends ExpressAdapter {
  private readonly connections = new Map<Socket, Connection>();
  private deadline = Number.POSITIVE_INFINITY;
  private drained = Promise.resolve();
  private draining = false;

  override initHttpServer(options: NestApplicationOptions): void {
    super.initHttpServer(options);
    const server = this.httpServer as Server;
    server.on('connection', (socket) => this.addConnection(socket));
    server.prependListener('request', (request, response) => this.addResponse(request, response));
  }

  /** Middleware: a connection that is still open can bring new requests, but they would be cut. */
  readonly refuseWhileDraining = (_request: Request, _response: Response, next: NextFunction): void => {
    next(this.draining ? new ServiceDrainingError() : undefined);
  };

  /** The first step of a shutdown. */
  override async beforeClose(): Promise<void> {
    super.beforeClose();
    // A request that was sent before the signal counts as in flight: one turn accepts its connection, the next reads it.
    await nextTurn();
    await nextTurn();
    this.draining = true;
    this.deadline = performance.now() + DRAIN_TIMEOUT_MS;
    // Not http.Server's own `close`, which destroys connections whose answer is written but not read yet.
    this.drained = new Promise((resolve) => NetServer.prototype.close.call(this.httpServer, () => resolve()));
    for (const [socket, { open }] of this.connections) {
      const last = [...open].at(-1);
      if (last) {
        closeAfter(last);
      } else {
        this.closeIfIdle(socket);
      }
    }
  }

  /** The step after running work was told to stop and had its time. */
  override async close(): Promise<void> {
    const left = Math.max(this.deadline - performance.now(), MIN_DRAIN_MS);
    await Promise.race([this.drained, delay(left, undefined, { ref: false })]);
    await super.close();
  }

  private addConnection(socket: Socket): void {
    this.connections.set(socket, { open: new Set(), bytesReadAtRest: 0 });
    socket.once('close', () => this.connections.delete(socket));
  }

  private addResponse({ socket }: IncomingMessage, response: ServerResponse): void {
    const connection = this.connections.get(socket);
    connection?.open.add(response);
    response.once('close', () => {
      connection?.open.delete(response);
      if (connection?.open.size === 0) {
        connection.bytesReadAtRest = socket.bytesRead;
        this.closeIfIdle(socket);
      }
    });
    if (this.draining) {
      closeAfter(response);
    }
  }

  private closeIfIdle(socket: Socket): void {
    const connection = this.connections.get(socket);
    if (this.draining && connection?.open.size === 0 && socket.bytesRead === connection.bytesReadAtRest) {
      socket.destroySoon();
    }
  }
}

/** Where its head is out already, the connection is closed as an idle one. */
function closeAfter(response: ServerResponse): void {
  if (!response.headersSent) {
    response.setHeader('Connection', 'close');
  }
}
