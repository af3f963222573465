import type { ObjectLiteral, Repository } from 'typeorm';

/** SQL: every column of an entity, of the table with the alias `e`, under its property's name. */
export function entityColumns({ metadata }: Repository<ObjectLiteral>): string {
  return metadata.columns.map(({ databaseName, propertyName }) => `e.${databaseName} AS "${propertyName}"`).join(', ');
}
