import type { Socket } from "node:net";

/**
 * How long a connection is used at most. With an answer of the name servers that is 5 s old it lets a name that moved be
 * followed within a minute, whatever the peer says of keeping the connection.
 */
export const maxConnectionAgeMs = 50_000;
/** Connections that were made together do not end together. */
const jitterRatio = 0.2;

/**
 * Decides when a connection is let go, which undici has no limit for: at its greatest age, and after an answer that calls
 * for another one (`endAfterAnswer`). One that carries an exchange ends with it.
 */
export class ConnectionLife {
  readonly #socket: Socket;
  readonly #isIdle: () => boolean;
  #isOver = false;

  constructor(socket: Socket, maxAgeMs: number, isIdle: () => boolean) {
    this.#socket = socket;
    this.#isIdle = isIdle;
    const timer = setTimeout(() => this.#expire(), maxAgeMs * (1 - jitterRatio * Math.random())).unref();
    socket.once("close", () => clearTimeout(timer));
  }

  /** The peer has failed (5xx): another one may have its name by now. */
  endAfterAnswer(): void {
    this.#isOver = true;
  }

  /** To be called when an exchange has ended, before the next one begins. */
  onIdle(): void {
    if (this.#isOver) this.#socket.destroy();
  }

  #expire(): void {
    this.#isOver = true;
    if (this.#isIdle()) this.#socket.destroy();
  }
}
