/** Relative links, so that they work behind a proxy that serves Lapse below a path. All values are ours: none is escaped. */
export function startPageHtml(page: {
  version: string;
  description: string;
  docs: string | null;
  openapi: string | null;
  live: string;
  ready: string;
}): string {
  const links = [
    [page.docs, 'API documentation (Swagger UI)'],
    [page.openapi, 'OpenAPI document'],
    [page.live, 'Health: the process runs'],
    [page.ready, 'Health: it can work'],
  ]
    .filter(([path]) => path !== null)
    .map(([path, text]) => `<li><a href="${path?.slice(1)}">${text}</a></li>`);
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Lapse</title>
<style>body { font: 1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 10vh auto; padding: 0 1rem }</style>
<h1>Lapse</h1>
<p>${page.description}. Version ${page.version}.</p>
<ul>
${links.join('\n')}
</ul>
</html>
`;
}
