import { descriptorShortage } from "./local-failure.ts";

/**
 * Error of a look-up: the name has no address, or its servers do not answer. `code` is the code of the resolver
 * (`ENOTFOUND`, `ETIMEOUT`, …) or of local trouble.
 */
export class DnsFailure extends Error {
  readonly code: string;
  constructor(code: string, options?: ErrorOptions) {
    super(`the name does not resolve (${code})`, options);
    this.name = "DnsFailure";
    this.code = code;
  }
}

/**
 * Codes that may hide a shortage of file descriptors: c-ares then reports a refused connection, and getaddrinfo an unknown
 * name or `EAI_AGAIN`.
 */
const maskedCodes = new Set(["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN"]);

/** Returns the failure of a look-up, with its own code unless that hides a shortage of file descriptors. */
export function dnsFailureOf(error: unknown): DnsFailure {
  if (error instanceof DnsFailure) return error;
  const { code: given } = error as { code?: unknown };
  const code = typeof given === "string" ? given : "EUNKNOWN";
  return new DnsFailure((maskedCodes.has(code) ? descriptorShortage() : null) ?? code, { cause: error });
}
