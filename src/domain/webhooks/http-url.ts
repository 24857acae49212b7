/**
 * Returns what is wrong with a base URL, to which requests add paths; `null` if nothing is. Reads the text, because the parser
 * drops an empty user name, adds slashes and removes line breaks, and keeps the mark of an empty query.
 */
export function httpUrlFault(text: string): string | null {
  if (!/^https?:\/\/[^/]/i.test(text) || /[\s\\\p{Cc}]/u.test(text) || !URL.canParse(text)) return "must be an absolute http or https URL";
  if (/[?#]/.test(text) || /^[^/]*\/\/[^/]*@/.test(text)) return "must have no credentials, query or fragment";
  return null;
}

/** Returns the host name of an origin (scheme://host:port). Unlike a URL it may be logged. */
export function hostNameOf(origin: string): string {
  return origin.slice(origin.indexOf("//") + 2).replace(/:\d+$/, "");
}

/** Returns the target of a request line: path and query exactly as written in the URL, an empty query included. */
export function requestTargetOf({ href, origin }: URL): string {
  const target = href.slice(origin.length);
  const fragment = target.indexOf("#");
  return fragment === -1 ? target : target.slice(0, fragment);
}

/**
 * Drops a trailing dot of the URL's host name. The name means the same host with and without the dot, but TLS forbids the
 * dot (RFC 6066 §3), and limits by host would count the host twice. Empty labels stay as they are.
 */
export function dropTrailingDot(url: URL): void {
  if (/[^.]\.$/.test(url.hostname)) url.hostname = url.hostname.slice(0, -1);
}
