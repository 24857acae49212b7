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

/** A handler that reads its answer itself, from the connection that its request went out on. */
export abstract class ReuseAwareHandler {
  /** Set by the client that dispatches it. */
  link: ClientLink | null = null;
}

/**
 * A client whose handlers learn which connection they got: undici does not say it. With one request at a time a client has
 * one connection, so it knows.
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

/** The connection of a client, or the attempt at one. */
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

  /** What a request without a connection waits for; `null` if nothing is being dialled. */
  get dialStage(): Dialling["stage"] | null {
    return this.#dialling instanceof Dialling ? this.#dialling.stage : null;
  }

  /** To be called once, when the request is about to be written: `reader` reads its answer. */
  begin(reader: AnswerReader): { readonly isReused: boolean } {
    if (this.#connection === null) throw new Error("a request is written on a connection");
    return this.#connection.begin(reader);
  }
}
