import type { ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { Injectable, Logger } from '@nestjs/common';
import { messageOf } from '../database/database.errors.js';
import { TooManyStreamsError } from './access.errors.js';
import { Authenticator } from './authenticator.service.js';
import { type GuardedRequest, type Principal, principalKey } from './principal.js';

/** How soon a stream ends after its credential: this, and the time of one query. */
const CHECK_INTERVAL_MS = 2_000;

interface OpenStream {
  principal: Principal;
  /** `principalKey` of it. */
  key: string;
  credential: string;
  cut: () => void;
}

/**
 * Downloads and event streams that are open on this replica. Each principal may have some of them, and they last only as
 * long as their credential: an ordinary call is over before a revocation matters, these are not.
 */
@Injectable()
export class OpenStreams {
  maxPerPrincipal = 10;

  private readonly logger = new Logger('Access');
  private readonly streams = new Set<OpenStream>();
  private isChecking = false;
  private lastCheckFailed = false;

  constructor(private readonly authenticator: Authenticator) {}

  /**
   * Counts the response as open until it closes, and cuts it if its credential ends.
   *
   * @throws TooManyStreamsError
   */
  add({ principal, credential, socket }: GuardedRequest, response: ServerResponse): void {
    if (!principal || credential === undefined || socket.destroyed) {
      return;
    }
    const key = principalKey(principal);
    const open = [...this.streams].filter((stream) => stream.key === key);
    if (open.length >= this.maxPerPrincipal) {
      throw new TooManyStreamsError(this.maxPerPrincipal);
    }
    const stream = { principal, key, credential, cut: () => response.destroy() };
    const remove = () => {
      this.streams.delete(stream);
      socket.off('close', remove);
    };
    this.streams.add(stream);
    response.once('close', remove);
    // A response that waits behind others on its connection is not told when the connection closes.
    socket.once('close', remove);
    void this.checkWhileOpen();
  }

  private async checkWhileOpen(): Promise<void> {
    if (this.isChecking) {
      return;
    }
    this.isChecking = true;
    while (this.streams.size > 0) {
      await delay(CHECK_INTERVAL_MS, undefined, { ref: false });
      await this.check();
    }
    this.isChecking = false;
  }

  private async check(): Promise<void> {
    const ended = await this.endedCredentials();
    for (const stream of this.streams) {
      const { principal, credential } = stream;
      if (ended.has(credential) || (principal.expiresAt ?? Number.POSITIVE_INFINITY) <= Date.now()) {
        this.logger.log(`Cut an open stream of ${principal.id}: its credential has expired or was revoked`);
        this.streams.delete(stream);
        stream.cut();
      }
    }
  }

  /** None while they can't be checked: without a database, streams end by themselves. */
  private async endedCredentials(): Promise<ReadonlySet<string>> {
    const credentials = [...new Set([...this.streams].map(({ credential }) => credential))];
    try {
      const ended = await this.authenticator.findEnded(credentials);
      this.lastCheckFailed = false;
      return ended;
    } catch (error) {
      if (!this.lastCheckFailed) {
        this.logger.warn(`The credentials of open streams could not be checked: ${messageOf(error)}; retrying`);
      }
      this.lastCheckFailed = true;
      return new Set();
    }
  }
}
