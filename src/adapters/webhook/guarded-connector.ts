import { isIP } from "node:net";
import type { LookupFunction, Socket } from "node:net";
import { buildConnector } from "undici";
import { BlockedAddress } from "./address-guard.ts";
import type { WebhookAddressGuard } from "./address-guard.ts";

/**
 * How long one of several addresses may take before the next is tried. Node's own 250 ms give up on every receiver that is a
 * slow ocean away, and then the last address decides for all.
 */
const addressAttemptMs = 2500;

/**
 * Dials what the guard lets through and nothing else. SNI and Host stay the name's. Every origin has a connector of its
 * own: it keeps the origin's TLS session.
 */
export class GuardedDialler {
  readonly #guard: WebhookAddressGuard;
  readonly #timeoutMs: number;
  /** Sockets that undici does not have yet: closing a pool does not close them. */
  readonly #dialling = new Set<Socket>();
  #group: string | undefined;

  constructor(guard: WebhookAddressGuard, timeoutMs: number) {
    this.#guard = guard;
    this.#timeoutMs = timeoutMs;
  }

  /** `origin`: scheme, host and port of everything that is dialled with it. */
  connectorFor(origin: URL): buildConnector.connector {
    const { protocol, hostname } = origin;
    const port = Number(origin.port || (protocol === "https:" ? 443 : 80));
    const dial = buildConnector({
      timeout: this.#timeoutMs,
      allowH2: false,
      // Node's own default is what an environment variable says.
      rejectUnauthorized: true,
      maxCachedSessions: 1,
      autoSelectFamily: true,
      autoSelectFamilyAttemptTimeout: addressAttemptMs,
      lookup: this.#lookupFor(port),
    }) as (options: buildConnector.Options, callback: buildConnector.Callback) => Socket;
    return (options, callback) => {
      const refusal = this.#guard.refusalOfProtocol(protocol) ?? this.#guard.refusalOfHost(hostname, port);
      if (refusal !== null) {
        callback(new BlockedAddress(`the URL ${refusal}`, true), null);
        return undefined;
      }
      const dialling = dial(options, (...[error, socket]) => {
        this.#dialling.delete(dialling);
        if (error !== null) return callback(error, null);
        const peer = this.#refusalOfPeer(hostname, port, socket);
        if (peer === null) return callback(null, socket);
        socket.destroy();
        return callback(new BlockedAddress(`the URL ${peer}`, false), null);
      });
      this.#dialling.add(dialling);
      dialling.once("close", () => this.#dialling.delete(dialling));
      return dialling;
    };
  }

  /** Connections that `dispatch` makes before it returns (undici dials, and Node looks up, in the same turn) are made on behalf of `group`. */
  onBehalfOf(group: string | undefined, dispatch: () => void): void {
    this.#group = group;
    try {
      dispatch();
    } finally {
      this.#group = undefined;
    }
  }

  /** Lets go of what is still being dialled. */
  close(): void {
    for (const socket of this.#dialling) socket.destroy(new Error("the sender is closed"));
  }

  /** Never called for a literal address: that one is judged as it is written, and as the peer. */
  #lookupFor(port: number): LookupFunction {
    return (hostname, options, done) => {
      this.#guard.resolve(hostname, this.#group).then(
        (addresses) => {
          const reason = this.#guard.refusalOfAddresses(hostname, port, addresses);
          const [first] = addresses;
          if (reason !== null || first === undefined) done(new BlockedAddress(`the URL ${reason ?? "has no address"}`, false), "", 0);
          else if (options.all === true) done(null, [...addresses]);
          else done(null, first.address, first.family);
        },
        (error: Error) => done(error, "", 0),
      );
    };
  }

  #refusalOfPeer(hostname: string, port: number, socket: Socket): string | null {
    const address = socket.remoteAddress;
    // Gone already: nothing will be written to it.
    if (address === undefined) return null;
    if (isIP(hostname.replace(/^\[|\]$/g, "")) !== 0) return this.#guard.refusalOfAddress(address, port, false);
    return this.#guard.refusalOfAddresses(hostname, port, [{ address, family: isIP(address) === 6 ? 6 : 4 }]);
  }
}
