import type { Socket } from "node:net";
import { headerOf } from "./answer-head.ts";
import type { AnswerReader } from "./answer-reader.ts";
import { UnaskedAnswer } from "./network-failure.ts";

/**
 * Longest use of a connection, even if the peer offers to keep it longer. With addresses cached for 5 s, the pools follow a
 * name to a new address within a minute.
 */
export const maxConnectionAgeMs = 50_000;
/** Jitter, so that connections that were made together do not end together. */
const jitterRatio = 0.2;

const staysOpen = Buffer.from("HTTP/1.1 204 No Content\r\n\r\n");
const closes = Buffer.from("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n");

/**
 * One connection of an undici client. undici writes the requests and keeps the connection, but the reader of the current
 * request reads the bytes of the peer. When the reader is over, undici's parser reads a short answer that is made here and
 * that keeps or closes the connection. The connection is closed after an answer that broke the grammar or had bytes after
 * its end, so that no other request reads those bytes; after a 5xx, because the name may have moved to another peer; and at
 * its maximum age, because undici has no such limit.
 */
export class HttpConnection {
  #reader: AnswerReader | null = null;
  #requestCount = 0;
  #isExpired = false;
  /** Makes undici read on. */
  readonly #resume: () => void;
  /** Answer for the last keep-alive hint. Nearly every answer of a peer has the same hint. */
  #hint: { readonly text: string | null; readonly answer: Buffer } = { text: null, answer: staysOpen };

  /** `socket`: connected, and not yet read. */
  constructor(socket: Socket, maxAgeMs: number) {
    const read = socket.read.bind(socket);
    this.#resume = () => void socket.emit("readable");
    socket.read = (size) => {
      // A reader that waited for room may have had its whole answer.
      if (this.#reader?.isOver === true) return this.#settle(this.#reader);
      if (this.#waits) return null;
      for (let bytes: unknown = read(size); bytes instanceof Buffer; bytes = read(size)) {
        const answer = this.#take(bytes, socket);
        if (answer !== null) return answer;
        if (this.#waits) return null;
      }
      return null;
    };
    socket.once("end", () => this.#reader?.end());
    const expire = () => {
      this.#isExpired = true;
      if (this.#reader === null) socket.destroy();
    };
    const timer = setTimeout(expire, maxAgeMs * (1 - jitterRatio * Math.random())).unref();
    socket.once("close", () => clearTimeout(timer));
  }

  /** Passes the answer of the next request to `reader`. `isReused`: the connection has carried a request before. */
  begin(reader: AnswerReader): { readonly isReused: boolean } {
    this.#reader = reader;
    reader.onResumed = this.#resume;
    this.#requestCount += 1;
    return { isReused: this.#requestCount > 1 };
  }

  get #waits(): boolean {
    return this.#reader?.isWaiting === true;
  }

  #take(bytes: Buffer, socket: Socket): Buffer | null {
    const reader = this.#reader;
    if (reader === null) {
      // A used connection is closed without an error, so that undici moves waiting requests to another one. On a fresh
      // connection the error ends the request, because the peer would speak first on every further one too.
      socket.destroy(this.#requestCount === 0 ? new UnaskedAnswer() : undefined);
      return null;
    }
    reader.feed(bytes);
    return reader.isOver ? this.#settle(reader) : null;
  }

  /** Returns the answer that keeps or closes the connection after the reader is over. */
  #settle(reader: AnswerReader): Buffer {
    this.#reader = null;
    if (!reader.mayPersist || this.#isExpired || (reader.statusCode ?? 0) >= 500) return closes;
    const hint = headerOf(reader.headers, "keep-alive");
    if (hint !== this.#hint.text) this.#hint = { text: hint, answer: staysOpenFor(hint) };
    return this.#hint.answer;
  }
}

function staysOpenFor(hint: string | null): Buffer {
  const seconds = /timeout=\s*(\d{1,9})/i.exec(hint ?? "")?.[1];
  return seconds === undefined ? staysOpen : Buffer.from(`HTTP/1.1 204 No Content\r\nkeep-alive: timeout=${seconds}\r\n\r\n`);
}
