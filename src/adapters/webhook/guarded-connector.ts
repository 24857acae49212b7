import { isIP } from "node:net";
import type { Socket } from "node:net";
import type { buildConnector } from "undici";
import { OriginDialler } from "../http-client/dialler.ts";
import type { Dialling } from "../http-client/dialler.ts";
import type { ResolvedAddress } from "../http-client/name-resolver.ts";
import { BlockedAddress } from "../http-client/network-failure.ts";
import type { WebhookAddressGuard } from "./address-guard.ts";

/**
 * Dials only addresses that the guard allows. Looks a name up, checks its addresses and dials those. SNI and Host keep the
 * name. Each origin has its own connector, which keeps the TLS session of the origin.
 */
export class GuardedDialler {
  readonly #guard: WebhookAddressGuard;
  readonly #timeoutMs: number;
  /** Connections that undici has not received yet. Closing a pool does not close these. */
  readonly #dialling = new Set<Dialling>();
  #group: string | undefined;

  constructor(guard: WebhookAddressGuard, timeoutMs: number) {
    this.#guard = guard;
    this.#timeoutMs = timeoutMs;
  }

  /** Returns the connector of one origin (scheme, host and port). */
  connectorFor(origin: URL): buildConnector.connector {
    const { protocol, hostname } = origin;
    const port = Number(origin.port || (protocol === "https:" ? 443 : 80));
    const dialler = new OriginDialler({ resolve: () => this.#resolve(hostname, port), limitMs: this.#timeoutMs });
    return (target, callback) => {
      const refusal = this.#guard.refusalOfProtocol(protocol) ?? this.#guard.refusalOfHost(hostname, port);
      if (refusal !== null) {
        callback(new BlockedAddress(`the URL ${refusal}`, true), null);
        return undefined;
      }
      const dialling = dialler.dial(target, (...[error, socket]) => {
        this.#dialling.delete(dialling);
        if (error !== null) return callback(error, null);
        const peer = this.#refusalOfPeer(hostname, port, socket);
        if (peer === null) return callback(null, socket);
        socket.destroy();
        return callback(new BlockedAddress(`the URL ${peer}`, false), null);
      });
      this.#dialling.add(dialling);
      return dialling;
    };
  }

  /** Runs `dispatch` and counts the look-ups that it starts for `group`. undici dials before `dispatch` returns. */
  onBehalfOf(group: string | undefined, dispatch: () => void): void {
    this.#group = group;
    try {
      dispatch();
    } finally {
      this.#group = undefined;
    }
  }

  /** Gives up connections that are being dialled. */
  close(): void {
    for (const dialling of this.#dialling) dialling.close(new Error("the sender is closed"));
  }

  /** Resolves with the checked addresses of a name. A literal address is checked as it is written, and as the peer. */
  async #resolve(hostname: string, port: number): Promise<readonly ResolvedAddress[]> {
    const addresses = await this.#guard.resolve(hostname, this.#group);
    const reason = this.#guard.refusalOfAddresses(hostname, port, addresses);
    if (reason !== null || addresses.length === 0) throw new BlockedAddress(`the URL ${reason ?? "has no address"}`, false);
    return addresses;
  }

  #refusalOfPeer(hostname: string, port: number, socket: Socket): string | null {
    const address = socket.remoteAddress;
    // The socket is closed already, so nothing will be written to it.
    if (address === undefined) return null;
    if (isIP(hostname.replace(/^\[|\]$/g, "")) !== 0) return this.#guard.refusalOfAddress(address, port, false);
    return this.#guard.refusalOfAddresses(hostname, port, [{ address, family: isIP(address) === 6 ? 6 : 4 }]);
  }
}
