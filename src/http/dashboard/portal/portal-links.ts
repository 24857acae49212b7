import type { MiddlewareHandler } from "hono";

const portalPath = /^\/portal\/([^/]+)/;

/** Whether a path belongs to a portal. */
export function isPortalPath(path: string): boolean {
  return portalPath.test(path);
}

/**
 * Makes the links, forms and redirects of the dashboard's pages lead below the path of the portal. The pages escape the quotes of
 * every text, so that only an attribute of theirs begins so. The first page of a portal ends with a slash, for its cookie.
 */
export const underPortal: MiddlewareHandler = async (c, next) => {
  await next();
  // Anybody may ask for any path, so that its id is markup until it is encoded.
  const base = `/portal/${encodeURIComponent(portalPath.exec(c.req.path)?.[1] ?? "")}`;
  const location = c.res.headers.get("location");
  if (location?.startsWith("/dashboard") === true) c.res.headers.set("location", movedTo(base, location));
  if (c.res.headers.get("content-type")?.startsWith("text/html") !== true) return;
  const text = await c.res.text();
  const moved = text.replaceAll(/="(\/dashboard[^"]*|\/portal\/[^"]*)"/g, (_, path: string) => `="${movedTo(base, path)}"`);
  c.res = new Response(moved, { status: c.res.status, headers: c.res.headers });
};

function movedTo(base: string, path: string): string {
  const below = path.startsWith("/dashboard") ? `${base}${path.slice("/dashboard".length)}` : path;
  return below === base || below.startsWith(`${base}?`) ? `${base}/${below.slice(base.length)}` : below;
}
