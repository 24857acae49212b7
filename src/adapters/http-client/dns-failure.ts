import { descriptorShortage } from "./local-failure.ts";

/** A name has no address, or its servers do not answer. `code` is the resolver's (`ENOTFOUND`, `ETIMEOUT`, …) or that of local trouble. */
export class DnsFailure extends Error {
  readonly code: string;
  constructor(code: string, options?: ErrorOptions) {
    super(`the name does not resolve (${code})`, options);
    this.name = "DnsFailure";
    this.code = code;
  }
}

/** Without a file descriptor c-ares reports a refused connection, and getaddrinfo an unknown name or `EAI_AGAIN`. */
const maskedCodes = new Set(["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN"]);

/** Names the failure of a look-up: by its own code, unless that hides a shortage of file descriptors. */
export function dnsFailureOf(error: unknown): DnsFailure {
  if (error instanceof DnsFailure) return error;
  const { code: given } = error as { code?: unknown };
  const code = typeof given === "string" ? given : "EUNKNOWN";
  return new DnsFailure((maskedCodes.has(code) ? descriptorShortage() : null) ?? code, { cause: error });
}
