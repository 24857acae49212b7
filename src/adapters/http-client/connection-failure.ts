import { DnsFailure } from "./dns-failure.ts";
import { localFailureCodeOf } from "./local-failure.ts";
import type { NotStarted } from "../../ports/not-started.ts";
import type { Observation, PollFailureCode } from "../../domain/calls/call.ts";

export type PollFailure = Extract<Observation, { kind: "failed" }>;

const timeouts = new Set(["UND_ERR_CONNECT_TIMEOUT", "UND_ERR_HEADERS_TIMEOUT", "UND_ERR_BODY_TIMEOUT", "ETIMEDOUT"]);
const resets = new Set(["ECONNRESET", "ECONNABORTED", "EPIPE", "UND_ERR_SOCKET", "UND_ERR_RES_CONTENT_LENGTH_MISMATCH"]);
const tls = /^(?:ERR_TLS|ERR_SSL|CERT_|CRL_|UNABLE_TO_|DEPTH_ZERO|SELF_SIGNED|EPROTO|HOSTNAME_MISMATCH|INVALID_CA|PATH_LENGTH)/;

/** undici's parser error has no code, and its message and `data` hold what came. */
const notHttp = "not HTTP";

/** The class of a network failure. The detail is the error's code: a message may hold what was sent. */
export function connectionFailureOf(error: unknown): PollFailure | NotStarted {
  const localCode = localFailureCodeOf(error);
  if (localCode !== null) return { kind: "not_started", code: localCode };
  const detail = errorCodeOf(error);
  return { kind: "failed", code: failureCodeOf(error, detail), detail };
}

function failureCodeOf(error: unknown, code: string): PollFailureCode {
  if (timeouts.has(code)) return "timeout";
  if (resets.has(code)) return "reset";
  if (error instanceof DnsFailure) return "dns";
  if (tls.test(code)) return "tls";
  if (code === "UND_ERR_HEADERS_OVERFLOW") return "too_large";
  return code === notHttp ? "not_json" : "connect";
}

/** Several addresses that were tried in vain fail with all their errors: the first speaks for them. */
function errorCodeOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return errorCodeOf(error.errors[0]);
  const { name, code } = error as { name?: unknown; code?: unknown };
  if (name === "HTTPParserError") return notHttp;
  return typeof code === "string" ? code : "unknown";
}
