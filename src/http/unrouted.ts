import type { NextFunction, Request, Response } from 'express';
import { difference } from '../config/nearest-name.js';
import { NOTHING_HERE, ProblemError } from './problem.error.js';

interface Layer {
  route?: { path: string; methods: Record<string, boolean> };
  match(path: string): boolean;
}

interface Route {
  path: string;
  methods: string[];
}

/** GET routes that change data, because external schedulers send nothing else. HEAD must stay without effect. */
const CHANGED_BY_GET = '/api/cron/';

const MAX_SEGMENTS = 16;

/** A segment that is missing, or too many. */
const SEGMENT_COST = 0.6;
const MAX_SEGMENT_DIFFERENCE = 0.5;
const MAX_COST = 1;

/** Segments that many paths have, so that they alone make no path like another. */
const COMMON_SEGMENTS = ['v1', 'run', 'api'];

/** The path is known, and not with this method. */
export class MethodNotAllowedError extends ProblemError {
  constructor(method: string, allowed: readonly string[]) {
    super({
      status: 405,
      code: 'method_not_allowed',
      detail: `${method} is not allowed at this path; it takes ${allowed.join(', ')}`,
      headers: { Allow: allowed.join(', ') },
    });
  }
}

/** Middleware before the routes: answers OPTIONS, and keeps HEAD from a GET that changes something. */
export function answerOptionsAndHead(request: Request, response: Response, next: NextFunction): void {
  const { method } = request;
  if (method !== 'OPTIONS' && method !== 'HEAD') {
    next();
    return;
  }
  const allowed = allowedMethods(request);
  const isPreflight = request.get('access-control-request-method') !== undefined;
  if (method === 'OPTIONS' && (allowed.length > 0 || isPreflight)) {
    response.status(204).set(allowed.length > 0 ? { Allow: allowed.join(', ') } : {});
    response.end();
    return;
  }
  next(isRefused(method, allowed) ? new MethodNotAllowedError(method, allowed) : undefined);
}

/** What is said of a request that no route takes, or whose route must look as if it did not exist. */
export function unroutedProblem(request: Request): ProblemError {
  const allowed = allowedMethods(request);
  if (isRefused(request.method, allowed)) {
    return new MethodNotAllowedError(request.method, allowed);
  }
  const routes = routesOf(request);
  const near = allowed.length === 0 ? nearestRoute(request, routes) : undefined;
  const docs = routes.some(({ path }) => path === '/docs') ? ['GET /docs lists the routes'] : [];
  const hints = [...(near ? [`did you mean ${near}?`] : []), ...docs].join(' ');
  return new ProblemError({ ...NOTHING_HERE, detail: `${NOTHING_HERE.detail}${hints === '' ? '' : `; ${hints}`}` });
}

function isRefused(method: string, allowed: readonly string[]): boolean {
  return allowed.length > 0 && !allowed.includes(method);
}

/** Of the path, in the order in which they are shown; none if no route has it. */
function allowedMethods(request: Request): string[] {
  const routes = routesOf(request, request.path);
  const methods = new Set(routes.flatMap((route) => route.methods));
  // By the path of the route: Express also takes /API/CRON/… for it.
  if (methods.has('GET') && !routes.some(({ path }) => path.startsWith(CHANGED_BY_GET))) {
    methods.add('HEAD');
  }
  return methods.size === 0 ? [] : [...methods, 'OPTIONS'].sort();
}

/** The routes of the application, or those of them that serve a path. */
function routesOf({ app }: Request, path?: string): Route[] {
  const { stack } = app.router as unknown as { stack: Layer[] };
  return stack.flatMap((layer) => {
    const { route } = layer;
    return route && (path === undefined || matches(layer, path))
      ? [{ path: route.path, methods: Object.keys(route.methods).map((method) => method.toUpperCase()) }]
      : [];
  });
}

function matches(layer: Layer, path: string): boolean {
  try {
    return layer.match(path);
  } catch {
    // A percent sign that is no valid encoding.
    return false;
  }
}

/** A route such as `GET /v1/sweeps/{sweepId}` whose path is like that of the request, if possible with its method. */
function nearestRoute(request: Request, routes: readonly Route[]): string | undefined {
  const given = segmentsOf(request.path);
  if (given.length > MAX_SEGMENTS) {
    return undefined;
  }
  const isOther = ({ methods }: Route) => Number(!methods.includes(request.method));
  const [nearest] = routes
    .map((route) => ({ route, cost: costOf(given, segmentsOf(route.path)) }))
    .filter(({ cost }) => cost <= MAX_COST)
    .sort((one, other) => one.cost - other.cost || isOther(one.route) - isOther(other.route));
  if (!nearest) {
    return undefined;
  }
  const { path, methods } = nearest.route;
  const method = methods.includes(request.method) ? request.method : methods[0];
  return `${method} ${path.replace(/:(\w+)/g, '{$1}')}`;
}

function segmentsOf(path: string): string[] {
  return path.split('/').filter((segment) => segment !== '');
}

/** What it takes to make a route's path of the given one, by segments; infinite if they have nothing in common. */
function costOf(given: readonly string[], route: readonly string[]): number {
  const isAlike = route.some(
    (literal) =>
      !literal.startsWith(':') &&
      !COMMON_SEGMENTS.includes(literal) &&
      given.some((segment) => difference(segment, literal) <= MAX_SEGMENT_DIFFERENCE),
  );
  if (!isAlike) {
    return Number.POSITIVE_INFINITY;
  }
  let costs = [0, ...route].map((_, at) => SEGMENT_COST * at);
  for (const [at, segment] of given.entries()) {
    const row = [SEGMENT_COST * (at + 1)];
    for (const [column, expected] of route.entries()) {
      row.push(
        Math.min(
          (costs[column] as number) + replacementCost(segment, expected),
          (costs[column + 1] as number) + SEGMENT_COST,
          (row[column] as number) + SEGMENT_COST,
        ),
      );
    }
    costs = row;
  }
  return costs.at(-1) as number;
}

function replacementCost(segment: string, expected: string): number {
  if (expected.startsWith(':')) {
    return 0;
  }
  const share = difference(segment, expected);
  return share <= MAX_SEGMENT_DIFFERENCE ? share : Number.POSITIVE_INFINITY;
}
