import { errors } from "undici";
import type { AttemptOutcome } from "../../domain/deliveries/attempt.ts";
import type { NotStarted } from "../../ports/not-started.ts";
import { localFailureCodeOf } from "../http-client/local-failure.ts";
import { BlockedAddress } from "./address-guard.ts";
import { DnsFailure } from "../http-client/dns-failure.ts";

type Failure = Extract<AttemptOutcome, { kind: "failed" }>;

const timeouts = new Set(["UND_ERR_CONNECT_TIMEOUT", "UND_ERR_HEADERS_TIMEOUT", "UND_ERR_BODY_TIMEOUT", "ETIMEDOUT"]);
const resets = new Set([
  "ECONNRESET",
  "ECONNABORTED",
  "EPIPE",
  "UND_ERR_SOCKET",
  "UND_ERR_DESTROYED",
  "UND_ERR_CLOSED",
  // The connection ended inside a body of known length, a chunked one or a head.
  "UND_ERR_RES_CONTENT_LENGTH_MISMATCH",
  "HPE_INVALID_EOF_STATE",
]);
const connects = new Set(["ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH", "EHOSTDOWN", "ENETDOWN", "EACCES", "EPERM", "EINVAL"]);
const tlsCode =
  /^(?:ERR_TLS|ERR_SSL|ERR_OSSL|CERT_|CRL_|UNABLE_TO_|DEPTH_ZERO|SELF_SIGNED|EPROTO|HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH|ERROR_IN_|OUT_OF_MEM)/;

/** Which of the closed set of classes an error of the network belongs to. The detail names the error's code and never what was sent or came. */
export function failureOf(error: unknown, statusCode: number | null): Failure | NotStarted {
  const localCode = localFailureCodeOf(error);
  if (localCode !== null && statusCode === null) return { kind: "not_started", code: localCode };
  if (error instanceof BlockedAddress) return failure("blocked_address", error.message, statusCode, error.permanent);
  if (error instanceof DnsFailure) return failure("dns", error.message, statusCode);
  const code = codeOf(error);
  if (timeouts.has(code)) return failure("timeout", `no answer in time (${code})`, statusCode);
  if (connects.has(code)) return failure("connect", `no connection (${code})`, statusCode);
  if (tlsCode.test(code)) return failure("tls", `no trusted TLS connection (${code})`, statusCode);
  const isHeadWrong = code === "UND_ERR_RES_CONTENT_LENGTH_MISMATCH" && statusCode === null;
  // "bad response", "bad upgrade": something came that answers no request of ours.
  if (isHeadWrong || (error instanceof errors.SocketError && error.message.startsWith("bad ")))
    return failure("protocol", `the answer is not HTTP as it should be (${code})`, statusCode);
  if (resets.has(code)) return failure("reset", `the connection broke off (${code})`, statusCode);
  return failure("protocol", `the answer is not HTTP as it should be (${code})`, statusCode);
}

export function timeoutFailure(timeoutMs: number, statusCode: number | null): Failure {
  return failure("timeout", `no complete answer within ${timeoutMs} ms`, statusCode);
}

/** A shutdown is nobody's fault; what it cut off is sent again. */
export function closedFailure(): Failure {
  return failure("reset", "the sender is closed", null);
}

function failure(code: Failure["code"], detail: string, statusCode: number | null, permanent = false): Failure {
  return { kind: "failed", code, detail, statusCode, permanent };
}

/** An attempt at several addresses fails with all their errors: the first speaks for them. */
function codeOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return codeOf(error.errors[0]);
  const { code, cause } = error as { code?: unknown; cause?: unknown };
  if (typeof code === "string") return code;
  return cause === undefined ? "unknown" : codeOf(cause);
}
