import type { INestApplication } from '@nestjs/common';

interface Layer {
  route?: { path: string; methods: Record<string, boolean> };
}

/** Every route that the application really serves, as `GET /v1/sweeps/:sweepId`; the files of Swagger UI left out. */
export function routesOf(app: INestApplication): string[] {
  const { stack } = app.getHttpAdapter().getInstance().router as { stack: Layer[] };
  return stack
    .flatMap(({ route }) =>
      route ? Object.keys(route.methods).map((method) => `${method.toUpperCase()} ${route.path}`) : [],
    )
    .filter((route) => !/ \/docs\//.test(route))
    .sort();
}
