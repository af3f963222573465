/** Serves a bare Nest application with `GET /bare`; port 0 is any free one. @returns its URL. */
export function serveBareNest(port: number): Promise<string>;
