import { StartupError } from "../../domain/errors.ts";
import { dropTrailingDot } from "../../domain/webhooks/http-url.ts";
import type { UpstreamKind } from "../../ports/upstream-kind.ts";
import { agentsKind } from "./agents.ts";
import { legacyKind } from "./legacy.ts";

/** Every kind of upstream that a source can have. The first is the default. A further kind is one file and one entry. */
export const upstreamKinds: readonly [UpstreamKind, ...UpstreamKind[]] = [legacyKind, agentsKind];

/** Address, credential and settings of one source. */
export type PolyaiConfig = {
  /** Name of one of the kinds. */
  readonly kind: string;
  /** http or https URL, which may have a path and a trailing slash. Free text, because each project has its own. */
  readonly baseUrl: string;
  readonly credential: string;
  readonly agentId?: string | null;
  readonly environment?: string | null;
  /** Number of sockets, each with one request at a time; 128 if left out. */
  readonly maxConnections?: number;
  /** Longest use of a socket; 50 s. */
  readonly maxConnectionAgeMs?: number;
};

export type StatusRequest = Pick<UpstreamKind, "statusOf"> & {
  /** Origin without a trailing dot of the host name. */
  readonly origin: string;
  /** Host as it is written. A trailing dot makes the name absolute, so that no search domain is added. */
  readonly lookupName: string;
  readonly headers: Readonly<Record<string, string>>;
  /** With the query, if there is one. */
  pathOf(callSid: string): string;
};

// Header value of RFC 9110 §5.5, without obs-text because no credential has any.
const headerValue = /^[\x20-\x7e]+$/;

/**
 * Returns the request for a call's status. Throws `StartupError` for an unknown kind, and for a base URL or credential that
 * cannot be sent. The error contains neither of them.
 */
export function statusRequestOf(config: PolyaiConfig, kinds: readonly UpstreamKind[] = upstreamKinds): StatusRequest {
  const kind = kinds.find(({ name }) => name === config.kind);
  if (kind === undefined) throw new StartupError(`the source's kind ${JSON.stringify(config.kind)} is not known`);
  const base = URL.parse(config.baseUrl.trim());
  if (base === null || !["http:", "https:"].includes(base.protocol)) throw new StartupError("the source's base URL is not an http(s) URL");
  if (!headerValue.test(config.credential)) throw new StartupError("the source's credential is empty or does not fit into a header");
  const lookupName = base.hostname;
  dropTrailingDot(base);
  const prefix = base.pathname.replace(/\/+$/, "");
  const settings = { agentId: config.agentId ?? null, environment: config.environment ?? null };
  return {
    origin: base.origin,
    lookupName,
    headers: { accept: "application/json", "user-agent": "Ringback", [kind.credentialHeader.toLowerCase()]: config.credential },
    pathOf: (callSid) => prefix + kind.statusPath(settings, callSid),
    statusOf: (body) => kind.statusOf(body),
  };
}
