const aliasOfVerifyFull = /(?<=[?&]sslmode=)(?:prefer|require|verify-ca)(?=&|#|$)/g;

/**
 * The same URL as `pg` is to have it: it treats these modes as `verify-full` and says so in many lines on stderr, beside
 * the log, unless that is what it is given. With `uselibpqcompat` they mean something else, and stay.
 */
export function toClientUrl(url: string): string {
  const queryAt = url.indexOf("?");
  if (queryAt < 0 || /[?&]uselibpqcompat=/.test(url.slice(queryAt))) return url;
  return url.slice(0, queryAt) + url.slice(queryAt).replaceAll(aliasOfVerifyFull, "verify-full");
}
