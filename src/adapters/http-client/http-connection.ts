import type { Socket } from "node:net";
import { headerOf } from "./answer-head.ts";
import type { AnswerReader } from "./answer-reader.ts";
import { UnaskedAnswer } from "./network-failure.ts";

/**
 * How long a connection is used at most. With an answer of the name servers that is 5 s old it lets a name that moved be
 * followed within a minute, whatever the peer says of keeping the connection.
 */
export const maxConnectionAgeMs = 50_000;
/** Connections that were made together do not end together. */
const jitterRatio = 0.2;

const staysOpen = Buffer.from("HTTP/1.1 204 No Content\r\n\r\n");
const closes = Buffer.from("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n");

/**
 * One connection of an undici client. undici writes requests and keeps the connection, but its parser never sees what came:
 * the reader of the request under way does, and undici gets an answer of ours once that one is over, which says whether the
 * connection may be used again. Bytes that no request asked for end the connection, so that no other request takes them. So
 * do its age, for which undici has no limit, and a 5xx, behind which another peer may have the name by now.
 */
export class HttpConnection {
  #reader: AnswerReader | null = null;
  #requestCount = 0;
  #isExpired = false;
  /** Nearly every answer has the hint of the one before. */
  #hint: { readonly text: string | null; readonly answer: Buffer } = { text: null, answer: staysOpen };

  /** `socket` must be connected and not yet be read. */
  constructor(socket: Socket, maxAgeMs: number) {
    const read = socket.read.bind(socket);
    socket.read = (size) => {
      for (let bytes: unknown = read(size); bytes instanceof Buffer; bytes = read(size)) {
        const answer = this.#take(bytes, socket);
        if (answer !== null) return answer;
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

  /** The next bytes answer a request that is about to be written. Returns whether the connection has carried one before. */
  begin(reader: AnswerReader): { readonly isReused: boolean } {
    this.#reader = reader;
    this.#requestCount += 1;
    return { isReused: this.#requestCount > 1 };
  }

  #take(bytes: Buffer, socket: Socket): Buffer | null {
    const reader = this.#reader;
    if (reader === null) {
      // undici fails the requests that wait for this connection only where there is an error.
      socket.destroy(this.#requestCount === 0 ? new UnaskedAnswer() : undefined);
      return null;
    }
    reader.feed(bytes);
    if (!reader.isOver) return null;
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
