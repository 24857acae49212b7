import { isIP } from "node:net";
import type { LookupFunction, Socket } from "node:net";
import { buildConnector } from "undici";
import { BlockedAddress } from "./address-guard.ts";
import type { WebhookAddressGuard } from "./address-guard.ts";

/** How many bytes a socket had read when it failed: more than none means that it had answered before (it was reused). */
const bytesReadByError = new WeakMap<object, number>();

export function hadAnsweredBefore(error: unknown): boolean {
  return typeof error === "object" && error !== null && (bytesReadByError.get(error) ?? 0) > 0;
}

/** Dials what the guard lets through and nothing else. SNI and Host stay the name's. */
export function createGuardedConnector(guard: WebhookAddressGuard, timeoutMs: number): buildConnector.connector {
  const connectorOf = (lookup: LookupFunction) => buildConnector({ timeout: timeoutMs, allowH2: false, lookup, autoSelectFamily: true });
  return (options, callback) => {
    const port = Number(options.port || (options.protocol === "https:" ? 443 : 80));
    const refusal = guard.refusalOfHost(options.hostname, port);
    if (refusal !== null) {
      callback(new BlockedAddress(`the URL ${refusal}`, true), null);
      return;
    }
    // A literal address is dialled without a lookup, so it is judged above and once more as the peer.
    const lookup: LookupFunction = (hostname, lookupOptions, done) => {
      guard.resolve(hostname).then(
        (addresses) => {
          const reason = guard.refusalOfAddresses(hostname, port, addresses);
          const [first] = addresses;
          if (reason !== null || first === undefined) done(new BlockedAddress(`the URL ${reason ?? "has no address"}`, false), "", 0);
          else if (lookupOptions.all === true) done(null, [...addresses]);
          else done(null, first.address, first.family);
        },
        (error: Error) => done(error, "", 0),
      );
    };
    connectorOf(lookup)(options, (...[error, socket]) => {
      if (error !== null) {
        callback(error, null);
        return;
      }
      const peer = refusalOfPeer(guard, options.hostname, port, socket);
      if (peer !== null) {
        socket.destroy();
        callback(new BlockedAddress(`the URL ${peer}`, false), null);
        return;
      }
      socket.prependListener("error", (socketError: Error) => bytesReadByError.set(socketError, socket.bytesRead));
      callback(null, socket);
    });
  };
}

function refusalOfPeer(guard: WebhookAddressGuard, hostname: string, port: number, socket: Socket): string | null {
  const address = socket.remoteAddress;
  if (address === undefined) return "has no peer";
  if (isIP(hostname.replace(/^\[|\]$/g, "")) !== 0) return guard.refusalOfAddress(address, port, false);
  return guard.refusalOfAddresses(hostname, port, [{ address, family: isIP(address) === 6 ? 6 : 4 }]);
}
