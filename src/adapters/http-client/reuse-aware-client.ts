import { Client } from "undici";
import type { Dispatcher } from "undici";

/** A request that wants to know, when it goes out, whether its connection has carried one before. */
export abstract class ReuseAwareHandler {
  /** Set by the client that dispatches it; to be called once, from `onRequestStart`. */
  claimConnection: () => { readonly isReused: boolean } = () => ({ isReused: false });
}

/**
 * undici does not tell a request which connection it got, and a socket's byte counts do not tell an earlier answer from
 * the beginning of this one. With one request at a time a client has one connection, so it can count.
 */
export class ReuseAwareClient extends Client {
  #requests = 0;

  constructor(origin: URL, options: Client.Options) {
    super(origin, options);
    this.on("connect", () => {
      this.#requests = 0;
    });
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    if (handler instanceof ReuseAwareHandler) handler.claimConnection = () => ({ isReused: this.#requests++ > 0 });
    return super.dispatch(options, handler);
  }
}
