import { DnsFailure } from "./dns-failure.ts";

/** Classes of failures between a request and its complete answer. */
export type NetworkFailureCode = "timeout" | "connect" | "reset" | "tls" | "dns" | "protocol" | "blocked_address";

/**
 * Failure of an exchange. `detail` never quotes the request or the answer. `permanent`: the URL itself is refused, so a
 * retry is pointless.
 */
export type NetworkFailure = {
  readonly kind: "failed";
  readonly code: NetworkFailureCode;
  readonly detail: string;
  readonly permanent: boolean;
};

/**
 * Error of a connection that was not made, because its address is refused. `permanent`: the host itself is refused, not an
 * address that its name servers returned.
 */
export class BlockedAddress extends Error {
  readonly permanent: boolean;

  constructor(reason: string, permanent: boolean) {
    super(reason);
    this.name = "BlockedAddress";
    this.permanent = permanent;
  }
}

/** Error of a connection that was not made; `cause` has the reason. `isTls`: the connection would have used TLS. */
export class ConnectFailure extends Error {
  readonly isTls: boolean;

  constructor(cause: unknown, isTls: boolean) {
    super("no connection", { cause });
    this.name = "ConnectFailure";
    this.isTls = isTls;
  }
}

/** Error of a peer that sends bytes before it has received a request. */
export class UnaskedAnswer extends Error {
  constructor() {
    super("bytes came before the request was sent");
    this.name = "UnaskedAnswer";
  }
}

const timeouts = new Set(["UND_ERR_CONNECT_TIMEOUT", "ETIMEDOUT"]);
const resets = new Set(["ECONNRESET", "ECONNABORTED", "EPIPE", "UND_ERR_SOCKET", "UND_ERR_DESTROYED", "UND_ERR_CLOSED"]);
const tls =
  /^(?:ERR_TLS|ERR_SSL|ERR_OSSL|CERT_|CRL_|UNABLE_TO_|DEPTH_ZERO|SELF_SIGNED|EPROTO|HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH|ERROR_IN_|OUT_OF_MEM)/;

/** Returns the failure for an error of undici, a socket, the resolver or the address guard. */
export function networkFailureOf(error: unknown): NetworkFailure {
  const isConnecting = error instanceof ConnectFailure;
  const first = firstErrorOf(isConnecting ? error.cause : error);
  if (first instanceof UnaskedAnswer) return failure("protocol", first.message);
  if (first instanceof BlockedAddress) return failure("blocked_address", first.message, first.permanent);
  if (first instanceof DnsFailure) return failure("dns", first.message);
  const code = codeOf(first);
  if (timeouts.has(code)) return failure("timeout", `no answer in time (${code})`);
  if (tls.test(code)) return failure("tls", `no trusted TLS connection (${code})`);
  if (resets.has(code) && isConnecting && error.isTls)
    return failure("tls", `the connection was closed during the TLS handshake (${code})`);
  if (resets.has(code)) return failure("reset", `the connection broke off (${code})`);
  return failure("connect", `no connection (${code})`);
}

/** Returns the failure of an answer that is not HTTP/1.x. `reason` never quotes the answer. */
export function protocolFailure(reason: string): NetworkFailure {
  return failure("protocol", `the answer is not HTTP as it should be: ${reason}`);
}

/** Returns the failure of an exchange whose time ran out at `stage`. A look-up without an answer is a failure of the name servers. */
export function timeoutFailure(timeoutMs: number, stage: "name" | "address" | "handshake" | "answer"): NetworkFailure {
  if (stage === "name") return networkFailureOf(new DnsFailure("ETIMEOUT"));
  const missing = { address: "no connection", handshake: "no end of the TLS handshake", answer: "no complete answer" }[stage];
  return failure("timeout", `${missing} within ${timeoutMs} ms`);
}

/** Returns the failure of an exchange that a shutdown cut off. The peer is not at fault, and the request is sent again. */
export function closedFailure(): NetworkFailure {
  return failure("reset", "the sender is closed");
}

function failure(code: NetworkFailureCode, detail: string, permanent = false): NetworkFailure {
  return { kind: "failed", code, detail, permanent };
}

/** Returns the first error of an attempt at several addresses. Such an attempt fails with one error for each address. */
function firstErrorOf(error: unknown): object {
  if (error instanceof AggregateError && error.errors.length > 0) return firstErrorOf(error.errors[0]);
  return typeof error === "object" && error !== null ? error : new Error(String(error));
}

function codeOf(error: object): string {
  const { code, cause } = error as { readonly code?: unknown; readonly cause?: unknown };
  if (typeof code === "string") return code;
  return typeof cause === "object" && cause !== null ? codeOf(firstErrorOf(cause)) : "unknown";
}
