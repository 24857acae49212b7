import { closeSync, openSync } from "node:fs";
import { networkInterfaces } from "node:os";

/** Codes of errors by which this process or machine, and no peer, ended a connection or a look-up. */
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

/** Such an error says nothing of the peer either: another address of it may be reachable. */
const routeCodes: ReadonlySet<string> = new Set(["ENETUNREACH", "EHOSTUNREACH", "EAFNOSUPPORT"]);

type SystemError = { readonly code?: unknown; readonly cause?: unknown; readonly address?: unknown };

/**
 * Returns the code of the local trouble because of which nothing left this machine: no file descriptor, no memory, no port,
 * a full queue of our own. `null` if the peer, or the way to it, had any part in the failure.
 */
export function localFailureCodeOf(error: unknown): string | null {
  const errors = leavesOf(error);
  const local = errors.find(isLocal);
  return local !== undefined && errors.every((leaf) => isLocal(leaf) || isWithoutRoute(leaf)) ? String(local.code) : null;
}

/**
 * Returns `EMFILE` or `ENFILE` if this process can open no file now, else `null`. Name resolution reports that as a refused
 * connection or an unknown name.
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

/** An attempt at several addresses fails with one error for each. */
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

/** A machine without IPv6 has no address to dial an IPv6 one from, which Linux reports as if no port were left. */
function isMissingIpv6({ code, address }: SystemError): boolean {
  return code === "EADDRNOTAVAIL" && typeof address === "string" && address.includes(":") && !hasIpv6();
}

function hasIpv6(): boolean {
  return Object.values(networkInterfaces()).some(
    (entries) => entries?.some(({ family, internal, address }) => family === "IPv6" && !internal && !address.startsWith("fe80:")) === true,
  );
}
