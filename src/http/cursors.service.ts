import { createHmac, timingSafeEqual } from 'node:crypto';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { Injectable, type OnModuleInit } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { DataSource } from 'typeorm';
import { schemaOf } from '../database/schema-of.js';
import { queryRow, RECORD_LIMITS } from '../database/short-transaction.js';
import { InvalidInputError } from './problem.error.js';

/** A keyset position: the sort key of the last item of a page, as the database wrote it. */
export type Position = readonly string[];

const SEAL_BYTES = 16;

/**
 * Makes cursors that only the list that gave them opens again, for the principal to which it gave them. The key is in
 * the database, so that every replica opens what another has sealed.
 */
@Injectable()
export class Cursors implements OnModuleInit {
  private key: Buffer = Buffer.alloc(0);

  constructor(@InjectDataSource() private readonly dataSource: DataSource) {}

  async onModuleInit(): Promise<void> {
    const { value } = await queryRow<{ value: Buffer }>(
      this.dataSource,
      RECORD_LIMITS,
      `SELECT value FROM ${schemaOf(this.dataSource)}.secrets WHERE name = 'cursors'`,
    );
    this.key = value;
  }

  /** Compressed, because a host may have ids far longer than a cursor may be; an index holds them compressed, too. */
  seal(position: Position, list: string): string {
    const compressed = deflateRawSync(JSON.stringify(position));
    return Buffer.concat([this.sealOf(compressed, list), compressed]).toString('base64url');
  }

  /** @throws InvalidInputError if the list has sealed no such cursor. */
  open(cursor: string, list: string): Position {
    const bytes = Buffer.from(cursor, 'base64url');
    const compressed = bytes.subarray(SEAL_BYTES);
    if (bytes.length <= SEAL_BYTES || !timingSafeEqual(bytes.subarray(0, SEAL_BYTES), this.sealOf(compressed, list))) {
      throw new InvalidInputError([
        {
          path: 'query.cursor',
          message: 'is not a cursor of this list with these filters for you; leave it out to begin with the first page',
        },
      ]);
    }
    return JSON.parse(inflateRawSync(compressed).toString());
  }

  private sealOf(compressed: Buffer, list: string): Buffer {
    return createHmac('sha256', this.key)
      .update(JSON.stringify(list))
      .update(compressed)
      .digest()
      .subarray(0, SEAL_BYTES);
  }
}
