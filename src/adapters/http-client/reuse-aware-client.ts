import { Client } from "undici";
import type { Dispatcher, buildConnector } from "undici";
import type { AnswerReader } from "./answer-reader.ts";
import { Dialling } from "./dialler.ts";
import { HttpConnection, maxConnectionAgeMs } from "./http-connection.ts";
import { ConnectFailure } from "./network-failure.ts";

export type ReuseAwareClientOptions = Omit<Client.Options, "connect"> & {
  readonly connect: buildConnector.connector;
  readonly maxConnectionAgeMs?: number;
};

/** Handler that reads its answer from the connection of its request. */
export abstract class ReuseAwareHandler {
  /** Set by the client that dispatches it. */
  link: ClientLink | null = null;
}

/**
 * Client that gives each handler access to its connection; undici itself gives none. The client has a single connection,
 * because it has one request at a time.
 */
export class ReuseAwareClient extends Client {
  readonly #link: ClientLink;

  constructor(origin: URL, { connect, maxConnectionAgeMs: maxAgeMs = maxConnectionAgeMs, ...options }: ReuseAwareClientOptions) {
    const link = new ClientLink(connect, { isTls: origin.protocol === "https:", maxAgeMs });
    super(origin, { ...options, connect: link.connect });
    this.#link = link;
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    if (handler instanceof ReuseAwareHandler) handler.link = this.#link;
    return super.dispatch(options, handler);
  }
}

/** Connection of a client, or the attempt at one. */
export class ClientLink {
  readonly connect: buildConnector.connector;
  #dialling: unknown = null;
  #connection: HttpConnection | null = null;

  constructor(connect: buildConnector.connector, { isTls, maxAgeMs }: { readonly isTls: boolean; readonly maxAgeMs: number }) {
    this.connect = (target, callback) => {
      this.#connection = null;
      this.#dialling = connect(target, (...[error, socket]) => {
        this.#dialling = null;
        if (error !== null) return callback(new ConnectFailure(error, isTls), null);
        this.#connection = new HttpConnection(socket, maxAgeMs);
        return callback(null, socket);
      });
    };
  }

  /** Stage of the attempt at a connection; `null` if there is none. */
  get dialStage(): Dialling["stage"] | null {
    return this.#dialling instanceof Dialling ? this.#dialling.stage : null;
  }

  /** Passes the answer of the next request to `reader`. To be called once, from `onRequestStart`. */
  begin(reader: AnswerReader): { readonly isReused: boolean } {
    if (this.#connection === null) throw new Error("a request is written on a connection");
    return this.#connection.begin(reader);
  }
}
