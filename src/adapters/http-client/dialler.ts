import { isIP } from "node:net";
import type { LookupFunction, Socket } from "node:net";
import { buildConnector } from "undici";
import type { ResolvedAddress } from "./name-resolver.ts";

/**
 * How long one of several addresses may take before the next is tried. Node's own 250 ms give up every peer that is a slow
 * ocean away, and then the last address decides for all (nodejs/node#54359).
 */
const addressAttemptMs = 2500;
/** Less than that for each of many addresses, so that more have their turn; a lost SYN is sent again after a second. */
const addressAttemptMinMs = 1000;

export type DiallerOptions = {
  /** Never called for a literal address. Rejects with `DnsFailure`. */
  readonly resolve: (hostname: string) => Promise<readonly ResolvedAddress[]>;
  /** For a connection with its TLS handshake. The look-up before has limits of its own and takes nothing of it. */
  readonly limitMs: number;
};

type Connect = (options: buildConnector.Options, callback: buildConnector.Callback) => Socket;

/**
 * Makes the connections of one origin for undici: resolves the name, then tries its addresses in turn, families alternating
 * (RFC 8305 §4). The SNI is the name's, without a dot at its end, and the origin's last TLS session is resumed.
 */
export class OriginDialler {
  readonly #options: DiallerOptions;
  #session: Buffer | undefined;

  constructor(options: DiallerOptions) {
    this.#options = options;
  }

  dial(target: buildConnector.Options, callback: buildConnector.Callback): Dialling {
    const dialling = new Dialling();
    const { hostname } = target;
    const family = isIP(hostname);
    const dialAll = (addresses: readonly ResolvedAddress[]) => dialling.begin((done) => this.#connect(target, addresses, done), callback);
    if (family !== 0) dialAll([{ address: hostname, family: family === 6 ? 6 : 4 }]);
    else
      this.#options.resolve(hostname).then(dialAll, (error: Error) => {
        callback(error, null);
      });
    return dialling;
  }

  #connect(target: buildConnector.Options, addresses: readonly ResolvedAddress[], callback: buildConnector.Callback): Socket {
    const { limitMs } = this.#options;
    const isTls = target.protocol === "https:";
    const connect = buildConnector({
      timeout: limitMs,
      allowH2: false,
      // Node's own default is what an environment variable says.
      rejectUnauthorized: true,
      maxCachedSessions: 0,
      ...(this.#session === undefined ? {} : { session: this.#session }),
      autoSelectFamily: true,
      autoSelectFamilyAttemptTimeout: attemptTimeoutMs(addresses.length, limitMs),
      lookup: lookupOf(addresses),
    }) as Connect;
    const servername = isTls && isIP(target.hostname) === 0 ? { servername: target.hostname.replace(/\.$/, "") } : {};
    const socket = connect({ ...target, ...servername }, callback);
    if (isTls)
      socket.on("session", (session: Buffer) => {
        this.#session = session;
      });
    return socket;
  }
}

/** One connection on its way. */
export class Dialling {
  #socket: Socket | null = null;
  #closedBy: Error | null = null;

  /** What the dialler waits for: the name, an address that answers, or the TLS handshake. */
  get stage(): "name" | "address" | "handshake" {
    if (this.#socket === null) return "name";
    return this.#socket.connecting ? "address" : "handshake";
  }

  /** Gives it up; its callback is called with `error`. */
  close(error: Error): void {
    this.#closedBy = error;
    this.#socket?.destroy(error);
  }

  begin(connect: (callback: buildConnector.Callback) => Socket, callback: buildConnector.Callback): void {
    if (this.#closedBy === null) this.#socket = connect(callback);
    else callback(this.#closedBy, null);
  }
}

function attemptTimeoutMs(count: number, limitMs: number): number {
  const perAddressMs = Math.max(limitMs / Math.max(count, 1), addressAttemptMinMs);
  return Math.floor(Math.min(addressAttemptMs, perAddressMs, limitMs / 2));
}

/** Hands out what was resolved before, and nothing else. */
function lookupOf(addresses: readonly ResolvedAddress[]): LookupFunction {
  return (_hostname, { all }, done) => {
    const [first] = addresses;
    // As any look-up does, when the caller has its socket.
    if (first === undefined || all === true) process.nextTick(done, null, [...addresses]);
    else process.nextTick(done, null, first.address, first.family);
  };
}
