/** Returns what is wrong with an address to which requests add paths; `null` if nothing is. */
export function httpUrlFault(text: string): string | null {
  const url = URL.parse(text);
  if (url === null || !["http:", "https:"].includes(url.protocol)) return "must be an absolute http or https URL";
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "")
    return "must have no credentials, query or fragment";
  return null;
}

/** Returns the host name of an origin (scheme://host:port), as it may be logged. */
export function hostNameOf(origin: string): string {
  return origin.slice(origin.indexOf("//") + 2).replace(/:\d+$/, "");
}

/** Returns what a request line asks for: path and query exactly as the URL is written, an empty query included. */
export function requestTargetOf({ href, origin }: URL): string {
  const target = href.slice(origin.length);
  const fragment = target.indexOf("#");
  return fragment === -1 ? target : target.slice(0, fragment);
}

/**
 * Drops the dot at the end of the URL's host name: with it the name means the same host, but TLS forbids it in the server
 * name (RFC 6066 §3), and limits that count by host would count the host twice. Empty labels stay as they are.
 */
export function dropTrailingDot(url: URL): void {
  if (/[^.]\.$/.test(url.hostname)) url.hostname = url.hostname.slice(0, -1);
}
