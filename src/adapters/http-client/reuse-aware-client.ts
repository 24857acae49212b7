import { Client } from "undici";
import type { Dispatcher, buildConnector } from "undici";
import { ConnectionLife, maxConnectionAgeMs } from "./connection-life.ts";
import { Dialling } from "./dialler.ts";

export type ReuseAwareClientOptions = Omit<Client.Options, "connect"> & {
  readonly connect: buildConnector.connector;
  readonly maxConnectionAgeMs?: number;
};

/** A request that learns on which connection it goes out. */
export abstract class ReuseAwareHandler {
  /** Set by the client that dispatches it; `null` while it waits for one. */
  client: ReuseAwareClient | null = null;
}

/**
 * undici does not say which connection a request got, and a socket's byte counts do not tell an earlier answer from the
 * beginning of this one. With one request at a time a client has one connection, so it can count, and end it between two
 * requests.
 */
export class ReuseAwareClient extends Client {
  #requests = 0;
  #life: ConnectionLife | null = null;
  #dialling: unknown = null;

  constructor(origin: URL, { connect, maxConnectionAgeMs: maxAgeMs = maxConnectionAgeMs, ...options }: ReuseAwareClientOptions) {
    const observedConnect: buildConnector.connector = (target, callback) => {
      this.#dialling = connect(target, (...[error, socket]) => {
        this.#dialling = null;
        if (error !== null) return callback(error, null);
        this.#requests = 0;
        this.#life = new ConnectionLife(socket, maxAgeMs, () => this.stats.size === 0);
        return callback(null, socket);
      });
    };
    super(origin, { ...options, connect: observedConnect });
    // Emitted after each answer, before the next request is taken: with one request at a time the client is full.
    this.on("drain", () => this.#life?.onIdle());
  }

  /** What a request without a connection waits for; `null` if no connection is on its way. */
  get dialStage(): Dialling["stage"] | null {
    return this.#dialling instanceof Dialling ? this.#dialling.stage : null;
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    if (handler instanceof ReuseAwareHandler) handler.client = this;
    return super.dispatch(options, handler);
  }

  /** To be called once by each request, from `onRequestStart`. Returns whether its connection has carried one before. */
  claimConnection(): boolean {
    return this.#requests++ > 0;
  }

  /** Lets go of the connection after the answer under way. */
  endAfterAnswer(): void {
    this.#life?.endAfterAnswer();
  }
}
