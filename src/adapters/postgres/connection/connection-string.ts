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

const tlsParameters: Readonly<Record<string, readonly string[]>> = {
  sslmode: ["disable", "no-verify", "prefer", "require", "verify-ca", "verify-full"],
  ssl: ["true", "1", "false", "0"],
  sslnegotiation: ["postgres", "direct"],
  uselibpqcompat: ["true", "false"],
};

/**
 * Returns what is wrong with the TLS parameters of a URL; `null` if nothing is. `pg` ignores a name in another case or an
 * empty value, which would send the password without TLS, and takes an unknown value for another one.
 */
export function tlsParameterFault(url: string): string | null {
  for (const [name, value] of new URL(url).searchParams) {
    const known = Object.keys(tlsParameters).find((parameter) => parameter === name.trim().toLowerCase());
    if (known === undefined) continue;
    if (known !== name) return `has a parameter that must be written ${known}`;
    const values = tlsParameters[known] ?? [];
    if (!values.includes(value)) return `has ${known} with a value that is not one of ${values.join(", ")}`;
  }
  return null;
}
