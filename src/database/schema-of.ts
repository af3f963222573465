import type { DataSource } from 'typeorm';

/** The quoted name of the schema that holds Lapse's own tables. The configuration admits plain names only. */
export function schemaOf(dataSource: DataSource): string {
  const { schema } = dataSource.options as { schema?: string };
  return `"${schema}"`;
}
