import { Socket } from "node:net";
import { Client } from "undici";
import type { Dispatcher, buildConnector } from "undici";
import type { AnswerReader } from "./answer-reader.ts";
import { HttpConnection } from "./http-connection.ts";
import { ConnectFailure } from "./network-failure.ts";

export type ReuseAwareClientOptions = Omit<Client.Options, "connect"> & { readonly connect: buildConnector.connector };

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

  constructor(origin: URL, { connect, ...options }: ReuseAwareClientOptions) {
    const link = new ClientLink(connect, origin.protocol === "https:");
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
  #dialled: Socket | null = null;
  #connection: HttpConnection | null = null;

  constructor(connect: buildConnector.connector, isTls: boolean) {
    this.connect = (options, callback) => {
      this.#connection = null;
      const dialled: unknown = connect(options, (...[error, socket]) => {
        if (error !== null) return callback(new ConnectFailure(error, isTls), null);
        this.#connection = new HttpConnection(socket);
        return callback(null, socket);
      });
      this.#dialled = isTls && dialled instanceof Socket ? dialled : null;
      return dialled;
    };
  }

  /** Whether the other side is connected and the TLS handshake with it has not ended. */
  get isInHandshake(): boolean {
    return this.#connection === null && this.#dialled?.connecting === false;
  }

  /** To be called once, when the request is about to be written: `reader` reads its answer. */
  begin(reader: AnswerReader): { readonly isReused: boolean } {
    if (this.#connection === null) throw new Error("a request is written on a connection");
    return this.#connection.begin(reader);
  }
}
