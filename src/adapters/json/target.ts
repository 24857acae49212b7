import { dropTrailingDot } from "../../domain/webhooks/http-url.ts";

/** Stands for `{id}` while a URL is parsed, because the parser would encode the braces. */
const marker = "ringback-0-id-0-ringback";

/** Address of the status request of a definition. */
export type Target = {
  readonly origin: string;
  readonly lookupName: string;
  /** Parts of path and query; the encoded SID stands between them. */
  readonly parts: readonly string[];
};

/** Parses the `url` of a definition; a text says what is wrong with it. */
export function parseTarget(url: string): Target | string {
  const parsed = URL.parse(url.replaceAll("{id}", marker));
  const fault = addressFault(parsed);
  if (parsed === null || fault !== null) return fault ?? "must be an http or https URL";
  if (parsed.hostname.includes(marker)) return "must have {id} in path or query, not in the host";
  const parts = `${parsed.pathname}${parsed.search}`.split(marker);
  if (parts.length === 1) return "must have {id} in path or query";
  const lookupName = parsed.hostname;
  dropTrailingDot(parsed);
  return { origin: parsed.origin, lookupName, parts };
}

/** Returns what is wrong with the `url` of a definition; `null` if nothing is. */
export function targetFault(url: string): string | null {
  const target = parseTarget(url);
  return typeof target === "string" ? target : null;
}

/** Returns what is wrong with the `url` of a trigger; `null` if nothing is. */
export function triggerUrlFault(url: string): string | null {
  return addressFault(URL.parse(url));
}

/** Returns the address without its query, which may hold a secret. */
export function shownAddress(url: string): string {
  return url.replace(/[?#].*$/s, "");
}

function addressFault(url: URL | null): string | null {
  if (url === null || !["http:", "https:"].includes(url.protocol)) return "must be an absolute http or https URL";
  if (url.username !== "" || url.password !== "") return "must have no user name or password: use a header";
  return url.hash === "" ? null : "must have no fragment";
}
