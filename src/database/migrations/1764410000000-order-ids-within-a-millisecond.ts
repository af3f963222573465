import type { MigrationInterface, QueryRunner } from 'typeorm';
import { schemaOf } from '../schema-of.js';

/**
 * Lists are in the order of the ids, and what happened last is what has the highest id. Two records of one millisecond
 * had ids in random order; the 12 bits that follow the milliseconds now hold fractions of them (RFC 9562, method 3).
 */
export class OrderIdsWithinAMillisecond1764410000000 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    // Still one expression, so that the planner inlines it: time in units of 2^-12 ms is 12 and 3 digits, with the version between.
    await queryRunner.query(
      uuidV7(
        queryRunner,
        `(overlay(lpad(to_hex(floor(extract(epoch FROM clock_timestamp()) * 4096000)::bigint), 15, '0') PLACING '7' FROM 13 FOR 0)
           || substr(replace(gen_random_uuid()::text, '-', ''), 17))::uuid`,
      ),
    );
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(
      uuidV7(
        queryRunner,
        `(lpad(to_hex((date_part('epoch', clock_timestamp()) * 1000)::bigint), 12, '0')
           || '7' || substr(replace(gen_random_uuid()::text, '-', ''), 14))::uuid`,
      ),
    );
  }
}

function uuidV7(queryRunner: QueryRunner, expression: string): string {
  const schema = schemaOf(queryRunner.connection);
  return `CREATE OR REPLACE FUNCTION ${schema}.uuid_v7() RETURNS uuid LANGUAGE sql VOLATILE PARALLEL SAFE AS $$ SELECT ${expression} $$`;
}
