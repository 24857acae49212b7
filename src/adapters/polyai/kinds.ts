import { StartupError } from "../../domain/errors.ts";
import { dropTrailingDot } from "../../domain/webhooks/http-url.ts";

/** Where and as whom one PolyAI source is asked. */
export type PolyaiConfig = {
  readonly kind: "polyai-legacy" | "polyai-agents";
  /** Free text: it is given per project. http or https; may have a path, and a slash at its end. */
  readonly baseUrl: string;
  readonly credential: string;
  /** `polyai-agents` alone. */
  readonly agentId?: string | null;
  readonly environment?: string | null;
  /** Sockets, each with one request at a time; 128. */
  readonly maxConnections?: number;
};

export type StatusRequest = {
  /** Without a dot at the end of the host name. */
  readonly origin: string;
  /** The host as it is written: a name with a dot at its end is absolute, and no search domain is added to it. */
  readonly lookupName: string;
  readonly headers: Readonly<Record<string, string>>;
  /** With the query, if there is one. */
  pathOf(callSid: string): string;
};

// RFC 9110 §5.5 without obs-text, which no credential has.
const headerValue = /^[\x20-\x7e]+$/;

/**
 * The request for a call's status, by kind; a further kind is a further case here. Throws `StartupError` for a base URL
 * or a credential no request can be made of, and repeats neither.
 */
export function statusRequestOf(config: PolyaiConfig): StatusRequest {
  const base = URL.parse(config.baseUrl.trim());
  if (base === null || !["http:", "https:"].includes(base.protocol)) throw new StartupError("the source's base URL is not an http(s) URL");
  if (!headerValue.test(config.credential)) throw new StartupError("the source's credential is empty or does not fit into a header");
  const lookupName = base.hostname;
  dropTrailingDot(base);
  const { origin } = base;
  const prefix = base.pathname.replace(/\/+$/, "");
  const accept = { accept: "application/json", "user-agent": "Ringback" };
  switch (config.kind) {
    case "polyai-legacy":
      return {
        origin,
        lookupName,
        headers: { ...accept, "x-polyai-auth-token": config.credential },
        pathOf: (callSid) => `${prefix}/v1/outbound-calling/${encodeURIComponent(callSid)}/status`,
      };
    case "polyai-agents": {
      const calls = `${prefix}/v1/agents/${encodeURIComponent(config.agentId ?? "")}/telephony/outbound-calls`;
      const query = `environment=${encodeURIComponent(config.environment ?? "")}`;
      return {
        origin,
        lookupName,
        headers: { ...accept, "x-api-key": config.credential },
        pathOf: (callSid) => `${calls}/${encodeURIComponent(callSid)}/status?${query}`,
      };
    }
  }
}
