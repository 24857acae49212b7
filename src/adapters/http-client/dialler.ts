import { isIP } from "node:net";
import type { LookupFunction, Socket } from "node:net";
import { buildConnector } from "undici";
import type { ResolvedAddress } from "./name-resolver.ts";

/**
 * Time after which the next of several addresses is tried. Node's default of 250 ms gives up every address of a distant
 * peer, and then only the last one counts (nodejs/node#54359).
 */
const addressAttemptMs = 2500;
/** Shortest time for one of many addresses. Long enough for a lost SYN, which is sent again after a second. */
const addressAttemptMinMs = 1000;

export type DiallerOptions = {
  /** Resolves a host name; never called for a literal address. Rejects with `DnsFailure`. */
  readonly resolve: (hostname: string) => Promise<readonly ResolvedAddress[]>;
  /** Time limit of a connection with its TLS handshake. The look-up before it has limits of its own and does not count. */
  readonly limitMs: number;
};

type Connect = (options: buildConnector.Options, callback: buildConnector.Callback) => Socket;

/**
 * Dials the connections of one origin for undici. Resolves the name, then tries its addresses in turn, with alternating
 * families (RFC 8305 §4). The SNI is the name without a trailing dot. Connections resume the last TLS session of the
 * origin.
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
      // Set explicitly, because an environment variable can change Node's default.
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

  /** Stage of the dialling: it waits for the name, for an address that answers, or for the TLS handshake. */
  get stage(): "name" | "address" | "handshake" {
    if (this.#socket === null) return "name";
    return this.#socket.connecting ? "address" : "handshake";
  }

  /** Gives the connection up and calls its callback with `error`. */
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

/** Returns a look-up function that only returns these addresses. */
function lookupOf(addresses: readonly ResolvedAddress[]): LookupFunction {
  return (_hostname, { all }, done) => {
    const [first] = addresses;
    // Answers in a later turn, like any look-up, when the caller has its socket.
    if (first === undefined || all === true) process.nextTick(done, null, [...addresses]);
    else process.nextTick(done, null, first.address, first.family);
  };
}
