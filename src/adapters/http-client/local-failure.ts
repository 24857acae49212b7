import { closeSync, openSync } from "node:fs";
import { networkInterfaces } from "node:os";

/** Error codes of connections and look-ups that failed because of this process or machine, not because of a peer. */
const localCodes: ReadonlySet<string> = new Set([
  "EMFILE",
  "ENFILE",
  "ENOMEM",
  "ENOBUFS",
  "EADDRNOTAVAIL",
  "EADDRINUSE",
  "ERR_MEMORY_ALLOCATION_FAILED",
  // The queue of `NameResolver` is full.
  "EBUSY",
]);

/** Error codes of an address without a route. They are no evidence about the peer, because another of its addresses may be reachable. */
const routeCodes: ReadonlySet<string> = new Set(["ENETUNREACH", "EHOSTUNREACH", "EAFNOSUPPORT"]);

type SystemError = { readonly code?: unknown; readonly cause?: unknown; readonly address?: unknown };

/**
 * Returns the code of the local trouble that kept a request on this machine: no file descriptor, memory or port, or a full
 * local queue. `null` if the peer or the network took part in the failure.
 */
export function localFailureCodeOf(error: unknown): string | null {
  const errors = leavesOf(error);
  const local = errors.find(isLocal);
  return local !== undefined && errors.every((leaf) => isLocal(leaf) || isWithoutRoute(leaf)) ? String(local.code) : null;
}

/**
 * Returns `EMFILE` or `ENFILE` if this process can open no file now, else `null`. Name resolution reports such a shortage
 * as a refused connection or an unknown name.
 */
export function descriptorShortage(): string | null {
  try {
    closeSync(openSync("/dev/null", "r"));
    return null;
  } catch (error) {
    const { code } = error as SystemError;
    return code === "EMFILE" || code === "ENFILE" ? code : null;
  }
}

/** Returns the innermost errors. An attempt at several addresses fails with one error for each. */
function leavesOf(error: unknown): readonly SystemError[] {
  if (error instanceof AggregateError && error.errors.length > 0) return error.errors.flatMap(leavesOf);
  const { code, cause } = error as SystemError;
  return cause !== undefined && (typeof code !== "string" || !localCodes.has(code)) ? leavesOf(cause) : [error as SystemError];
}

function isLocal(error: SystemError): boolean {
  return typeof error.code === "string" && localCodes.has(error.code) && !isMissingIpv6(error);
}

function isWithoutRoute(error: SystemError): boolean {
  return typeof error.code === "string" && (routeCodes.has(error.code) || isMissingIpv6(error));
}

/** Whether the error means that the machine has no IPv6: Linux then reports an IPv6 address as if no local port were free. */
function isMissingIpv6({ code, address }: SystemError): boolean {
  return code === "EADDRNOTAVAIL" && typeof address === "string" && address.includes(":") && !hasIpv6();
}

function hasIpv6(): boolean {
  return Object.values(networkInterfaces()).some(
    (entries) => entries?.some(({ family, internal, address }) => family === "IPv6" && !internal && !address.startsWith("fe80:")) === true,
  );
}
