import type { RequestListener } from 'node:http';
import { fileURLToPath } from 'node:url';
import sirv, { type Options } from 'sirv';

/** The folder of the files that all pages share. */
export const shared = fileURLToPath(new URL('../public', import.meta.url));

/**
 * Serves the files of an example's page, and beside them those that all pages share. They are read anew each time, so that
 * an edited page shows on reload. With `single`, every path that is no file is the page.
 */
export function page(folder: URL, { single = false }: Pick<Options, 'single'> = {}): RequestListener {
  const own = sirv(fileURLToPath(folder), { dev: true });
  const common = sirv(shared, { dev: true });
  const entrance = sirv(fileURLToPath(folder), { dev: true, single });
  return (request, response) => {
    response.setHeader('Content-Security-Policy', "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'");
    own(request, response, () => common(request, response, () => entrance(request, response)));
  };
}
