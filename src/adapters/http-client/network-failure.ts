import { DnsFailure } from "./dns-failure.ts";

/** Classes of what can go wrong between a request and its whole answer. */
export type NetworkFailureCode = "timeout" | "connect" | "reset" | "tls" | "dns" | "protocol" | "blocked_address";

/** The detail never quotes what was sent or what came. `permanent` only for an address that is refused as it is written. */
export type NetworkFailure = {
  readonly kind: "failed";
  readonly code: NetworkFailureCode;
  readonly detail: string;
  readonly permanent: boolean;
};

/** Nothing was connected, because the address is refused. `permanent`: the host itself is, whatever its name servers answer next time. */
export class BlockedAddress extends Error {
  readonly permanent: boolean;

  constructor(reason: string, permanent: boolean) {
    super(reason);
    this.name = "BlockedAddress";
    this.permanent = permanent;
  }
}

/** No connection was made; `cause` says why. `isTls`: it was to be one with TLS. */
export class ConnectFailure extends Error {
  readonly isTls: boolean;

  constructor(cause: unknown, isTls: boolean) {
    super("no connection", { cause });
    this.name = "ConnectFailure";
    this.isTls = isTls;
  }
}

/** The other side spoke before it was asked, so that no request can have these bytes as its answer. */
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

/** Returns the class of an error of undici, the sockets or the resolver. */
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

/** What came is no answer of HTTP/1.x. `reason` quotes nothing of it. */
export function protocolFailure(reason: string): NetworkFailure {
  return failure("protocol", `the answer is not HTTP as it should be: ${reason}`);
}

/** Returns the failure of an exchange whose time ran out at `stage`. A look-up that ran out is a failure of the name servers. */
export function timeoutFailure(timeoutMs: number, stage: "name" | "address" | "handshake" | "answer"): NetworkFailure {
  if (stage === "name") return networkFailureOf(new DnsFailure("ETIMEOUT"));
  const missing = { address: "no connection", handshake: "no end of the TLS handshake", answer: "no complete answer" }[stage];
  return failure("timeout", `${missing} within ${timeoutMs} ms`);
}

/** A shutdown is not the other side's fault; what it cut off is sent again. */
export function closedFailure(): NetworkFailure {
  return failure("reset", "the sender is closed");
}

function failure(code: NetworkFailureCode, detail: string, permanent = false): NetworkFailure {
  return { kind: "failed", code, detail, permanent };
}

/** An attempt at several addresses fails with all their errors: the first speaks for them. */
function firstErrorOf(error: unknown): object {
  if (error instanceof AggregateError && error.errors.length > 0) return firstErrorOf(error.errors[0]);
  return typeof error === "object" && error !== null ? error : new Error(String(error));
}

function codeOf(error: object): string {
  const { code, cause } = error as { readonly code?: unknown; readonly cause?: unknown };
  if (typeof code === "string") return code;
  return typeof cause === "object" && cause !== null ? codeOf(firstErrorOf(cause)) : "unknown";
}
