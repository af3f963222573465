import { readFileSync } from 'node:fs';
import { Ajv2020, type AnySchema, type ValidateFunction } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';

export interface Schema {
  type?: string;
  format?: string;
  pattern?: string;
  enum?: unknown[];
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  properties?: Record<string, Schema>;
  required?: string[];
  example?: unknown;
  items?: Schema;
  anyOf?: Schema[];
  $ref?: string;
}

export interface Parameter {
  name: string;
  in: 'path' | 'query' | 'header';
  required?: boolean;
  schema: Schema;
}

interface Content {
  schema: Schema;
  example?: unknown;
  examples?: Record<string, { value: unknown }>;
}

interface Response {
  $ref?: string;
  headers?: Record<string, unknown>;
  content?: Record<string, Content>;
}

export interface Operation {
  operationId: string;
  tags?: string[];
  method: string;
  path: string;
  parameters: Parameter[];
  requestBody?: { required?: boolean; content: Record<string, Content> };
  responses: Record<string, Response>;
}

interface ApiDocument {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema>; responses: Record<string, Response> };
}

/** What users generate their clients from. */
export const apiDocument: ApiDocument = JSON.parse(readFileSync('openapi.json', 'utf8'));

export const operations: Operation[] = Object.entries(apiDocument.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ ...operation, method: method.toUpperCase(), path })),
);

export function resolved(schema: Schema): Schema {
  return schema.$ref ? (apiDocument.components.schemas[schema.$ref.split('/').pop() as string] as Schema) : schema;
}

export function bodyOf({ requestBody }: Operation): Content | undefined {
  return requestBody?.content['application/json'];
}

export function responseOf(operation: Operation, status: number): Response | undefined {
  const response = operation.responses[status];
  return response?.$ref ? apiDocument.components.responses[response.$ref.split('/').pop() as string] : response;
}

const ajv = new Ajv2020({ strict: false, allErrors: true });
formats.default(ajv);
ajv.addSchema(closed(apiDocument) as AnySchema, 'api');

/** A member that the document doesn't name is a fault. */
function closed({ components, ...document }: ApiDocument) {
  const schemas = Object.entries(components.schemas).map(([name, schema]) => [
    name,
    schema.properties ? { additionalProperties: false, ...schema } : schema,
  ]);
  return { ...document, components: { ...components, schemas: Object.fromEntries(schemas) } };
}

/** What is wrong with an answer, by what the document says of its operation; undefined where nothing is. */
export function faultOf(
  operation: Operation,
  answer: { status: number; headers: Record<string, unknown>; body: unknown },
): string | undefined {
  const response = responseOf(operation, answer.status);
  if (!response) {
    return `${answer.status} is not documented: ${JSON.stringify(answer.body)}`;
  }
  const missing = Object.keys(response.headers ?? {}).filter(
    (name) => answer.headers[name.toLowerCase()] === undefined,
  );
  if (missing.length > 0) {
    return `${answer.status} came without ${missing.join(', ')}`;
  }
  const type = String(answer.headers['content-type'] ?? '').split(';')[0] as string;
  if (!response.content) {
    return answer.body === '' ? undefined : `${answer.status} came with a body, which is not documented`;
  }
  const content = response.content[type];
  if (!content) {
    return `${answer.status} came as "${type}", not ${Object.keys(response.content).join(' or ')}`;
  }
  return /json/.test(type) ? mismatch(content.schema, answer.body) : undefined;
}

/** By the text of the schema: compiling one takes longer than the call whose answer it checks. */
const checks = new Map<string, ValidateFunction>();

/** How a value differs from a schema of the document; undefined where it doesn't. */
export function mismatch(schema: Schema, value: unknown): string | undefined {
  const fixed = JSON.stringify(schema).replaceAll('"#/', '"api#/');
  const check = checks.get(fixed) ?? ajv.compile(JSON.parse(fixed));
  checks.set(fixed, check);
  return check(value) ? undefined : `${ajv.errorsText(check.errors)} in ${JSON.stringify(value)}`;
}
