const aliasOfVerifyFull = /(?<=[?&]sslmode=)(?:prefer|require|verify-ca)(?=&|#|$)/g;

/**
 * Replaces sslmode values that `pg` treats as `verify-full` by `verify-full` itself, because `pg` prints a long warning to
 * stderr for the others. With `uselibpqcompat` the values have their libpq meaning and stay.
 */
export function toClientUrl(url: string): string {
  const queryAt = url.indexOf("?");
  if (queryAt < 0 || /[?&]uselibpqcompat=/.test(url.slice(queryAt))) return url;
  return url.slice(0, queryAt) + url.slice(queryAt).replaceAll(aliasOfVerifyFull, "verify-full");
}
