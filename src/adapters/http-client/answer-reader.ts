import { HeaderFields, framingOf, isFieldLine, listOf, mayBecomeStatusLine, parseStatusLine } from "./answer-head.ts";
import type { AnswerHeaders, Framing, StatusLine } from "./answer-head.ts";
import type { AnswerRoom } from "./answer-budget.ts";

/** Maximum size of one head, and of all interim answers together. */
const headMaxBytes = 64 * 1024;

export type AnswerLimits = {
  /** Maximum length of the body. The reader stops there, and the answer is cut. */
  readonly bodyMaxBytes: number;
  /** Number of bytes that are kept from the beginning of the body. */
  readonly keepBytes: number;
  /** Room that a body takes before it is read; unlimited if left out. */
  readonly room?: AnswerRoom;
};

const carriageReturn = 0x0d;
const chunkSize = /^[\t ]*([0-9a-f]+)[\t ]*(?:;|$)/i;
const strictChunkSize = /^[0-9a-f]+(?:;[\t\x20-\x7e\x80-\xff]*)?$/i;
/**
 * Length of a usual chunk line. The excess of a longer line counts against the limit of the head, so that this limit also
 * bounds extensions and trailers.
 */
const usualChunkLineBytes = 16;

type Phase = "status_line" | "fields" | "counted" | "until_close" | "chunk_size" | "chunk" | "chunk_end" | "trailers" | "waiting" | "over";

/**
 * Reader of one answer of HTTP/1.x and the interim answers before it, as tolerant as RFC 9112 permits a client. No library
 * is as tolerant: undici, and Node's client even with `insecureHTTPParser`, refuse odd bytes in header names, a length that
 * is sent twice, and a bare LF after a chunk. An answer that breaks the grammar is read, but its connection carries no
 * further request.
 */
export class AnswerReader {
  readonly #limits: AnswerLimits;
  #phase: Phase = "status_line";
  /** Beginning of a line whose end has not arrived. */
  #held = "";
  #headBytes = 0;
  #interimBytes = 0;
  #hasBegun = false;
  #statusLine: StatusLine | null = null;
  #fields = new HeaderFields();
  #isHeadWhole = false;
  #codings: readonly string[] = [];
  /** Number of bytes still to come of the chunk, or of a body with a length. */
  #remainingBytes = 0;
  #bodyBytes = 0;
  #keptBytes = 0;
  readonly #kept: Buffer[] = [];
  #isWhole = false;
  #isCut = false;
  #mayPersist = true;
  #fault: string | null = null;
  /** Called when a wait for room is over; set by the connection. */
  onResumed: (() => void) | null = null;
  #roomBytes = 0;
  #cancelWait: (() => void) | null = null;
  /** Phase after the wait for room, and the bytes that arrived before it. */
  #nextPhase: Phase = "over";
  #arrived: Buffer | null = null;

  constructor(limits: AnswerLimits) {
    this.#limits = limits;
  }

  /** Whether a byte was read. */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  /** Status of the final answer; `null` before its status line is complete. */
  get statusCode(): number | null {
    return this.#statusLine === null || isInterim(this.#statusLine) ? null : this.#statusLine.statusCode;
  }

  get isHeadWhole(): boolean {
    return this.#isHeadWhole;
  }

  /** Headers read so far. */
  get headers(): AnswerHeaders {
    return this.#fields.values;
  }

  /** Codings of the body, chunked aside, in the order of application. */
  get codings(): readonly string[] {
    return this.#codings;
  }

  /** Kept part of the body, as far as it was read. */
  get body(): Buffer {
    const [first] = this.#kept;
    return this.#kept.length === 1 && first !== undefined ? first : Buffer.concat(this.#kept);
  }

  /** Whether the answer is complete or cut. */
  get isWhole(): boolean {
    return this.#isWhole;
  }

  /** Whether the body is longer than its limit. */
  get isCut(): boolean {
    return this.#isCut;
  }

  /** Reason why the answer cannot be read further; `null` if there is none. Never quotes the answer. */
  get fault(): string | null {
    return this.#fault;
  }

  /** Whether the reader takes no more bytes. */
  get isOver(): boolean {
    return this.#phase === "over";
  }

  /** Whether the reader takes no bytes until there is room for the body. */
  get isWaiting(): boolean {
    return this.#phase === "waiting";
  }

  /** Gives the room of the body back, once nothing uses the body any more. May be called twice. */
  releaseRoom(): void {
    this.#cancelWait?.();
    this.#cancelWait = null;
    if (this.#roomBytes > 0) this.#limits.room?.giveBack(this.#roomBytes);
    this.#roomBytes = 0;
  }

  /** Whether the connection may carry another request: the answer followed the grammar, and its headers keep the connection open. */
  get mayPersist(): boolean {
    return this.#phase === "over" && this.#isWhole && !this.#isCut && this.#mayPersist;
  }

  /** Reads the next bytes. If there are bytes after the end of the answer, the connection carries no further request. */
  feed(bytes: Buffer): void {
    this.#hasBegun = true;
    // One character per byte, so that positions are the same in both.
    let text: string | null = null;
    let at = 0;
    while (at < bytes.length && this.#phase !== "over") {
      if (this.#phase === "waiting") {
        this.#arrived = bytes.subarray(at);
        return;
      }
      if (this.#phase === "counted" || this.#phase === "until_close" || this.#phase === "chunk") at = this.#readBody(bytes, at);
      else at = this.#readLine((text ??= bytes.toString("latin1")), at);
    }
    if (at < bytes.length) this.#mayPersist = false;
  }

  /** Handles an orderly end of the connection, which ends a body without a length (RFC 9112 section 6.3). */
  end(): void {
    if (this.#phase === "until_close") this.#complete();
  }

  /** Reads to the end of the line and returns the next position. */
  #readLine(text: string, at: number): number {
    const lineEnd = text.indexOf("\n", at);
    const next = lineEnd < 0 ? text.length : lineEnd + 1;
    this.#headBytes += next - at;
    if (this.#headBytes > headMaxBytes)
      this.#fail(this.#isHeadWhole ? "its chunk lines are too long" : `its head is larger than ${headMaxBytes} bytes`);
    else if (lineEnd >= 0) this.#takeLine(this.#lineOf(text, at, lineEnd));
    else {
      this.#held += text.slice(at);
      if (this.#phase === "status_line" && !mayBecomeStatusLine(this.#held)) this.#failAsNoStatusLine();
    }
    return next;
  }

  /** Returns the line without its LF and the CRs before it. One CR is usual (RFC 9112 section 2.2); some servers double it. */
  #lineOf(text: string, at: number, lineEnd: number): string {
    let line = text.slice(at, lineEnd);
    if (this.#held !== "") {
      line = this.#held + line;
      this.#held = "";
    }
    let end = line.length;
    while (end > 0 && line.charCodeAt(end - 1) === carriageReturn) end -= 1;
    if (line.length - end !== 1) this.#mayPersist = false;
    return line.slice(0, end);
  }

  #takeLine(line: string): void {
    switch (this.#phase) {
      case "status_line":
        return this.#takeStatusLine(line);
      case "fields":
        return line === "" ? this.#endHead() : this.#fields.add(line);
      case "chunk_size":
        return this.#takeChunkSize(line);
      case "chunk_end":
        return this.#takeChunkEnd(line);
      default:
        return line === "" ? this.#complete() : this.#takeTrailer(line);
    }
  }

  #takeStatusLine(line: string): void {
    const statusLine = parseStatusLine(line);
    if (statusLine === null || !statusLine.isStrict) this.#mayPersist = false;
    if (statusLine === null) {
      // Empty lines before it are ignored.
      if (line.trim() !== "") this.#failAsNoStatusLine();
    } else if (statusLine.statusCode === 101) {
      // "A server MUST NOT switch to a protocol that was not indicated by the client" (RFC 9110 section 7.8).
      this.#fail("it switches to a protocol that was not asked for");
    } else {
      this.#statusLine = statusLine;
      this.#phase = "fields";
    }
  }

  #endHead(): void {
    const statusLine = this.#statusLine;
    const { isStrict, values: headers } = this.#fields;
    if (!isStrict) this.#mayPersist = false;
    const headBytes = this.#headBytes;
    this.#headBytes = 0;
    if (statusLine === null || isInterim(statusLine)) return this.#endInterim(headBytes);
    const { framing, codings, isStrict: isFramedStrictly } = framingOf({ statusCode: statusLine.statusCode, headers });
    this.#isHeadWhole = true;
    // The body has no end that could be found. The status came and counts, as it does before a body that breaks off.
    if (framing.kind === "invalid") return this.#fail(framing.reason);
    this.#codings = codings;
    const persists = framing.kind !== "until_close" && isKeptOpen(statusLine, headers);
    if (!persists || !isFramedStrictly) this.#mayPersist = false;
    if (framing.kind === "chunked") this.#phase = "chunk_size";
    else if (framing.kind === "until_close") this.#phase = "until_close";
    else this.#expect("counted", framing.bytes);
    this.#takeRoom(framing, codings);
  }

  /** Takes room for the body, of its longest length if that is unknown, and once more for a decoded copy. */
  #takeRoom(framing: Framing, codings: readonly string[]): void {
    const { room, keepBytes } = this.#limits;
    const length = framing.kind === "counted" ? Math.min(framing.bytes, keepBytes) : keepBytes;
    const bytes = codings.length === 0 ? length : length + keepBytes;
    if (room === undefined || length === 0) return;
    if (room.tryTake(bytes)) {
      this.#roomBytes = bytes;
      return;
    }
    this.#nextPhase = this.#phase;
    this.#phase = "waiting";
    this.#cancelWait = room.wait(bytes, () => this.#resume(bytes));
  }

  #resume(bytes: number): void {
    this.#roomBytes = bytes;
    // The exchange ended while it waited.
    if (this.#cancelWait === null) return this.releaseRoom();
    this.#cancelWait = null;
    this.#phase = this.#nextPhase;
    const arrived = this.#arrived;
    this.#arrived = null;
    if (arrived !== null) this.feed(arrived);
    this.onResumed?.();
  }

  /**
   * Prepares for the answer after an interim one (RFC 9110 section 15.2). The total size of interim answers is bounded,
   * because an endless series would keep the process busy.
   */
  #endInterim(headBytes: number): void {
    this.#statusLine = null;
    this.#fields = new HeaderFields();
    this.#phase = "status_line";
    this.#interimBytes += headBytes;
    if (this.#interimBytes > headMaxBytes) this.#fail(`its interim answers are larger than ${headMaxBytes} bytes`);
  }

  /** Begins a body, or a chunk, of `bytes`. */
  #expect(phase: "counted" | "chunk", bytes: number): void {
    this.#phase = phase;
    this.#remainingBytes = bytes;
    if (bytes === 0) this.#endCount();
  }

  /** Reads a part of the body and returns the next position. */
  #readBody(bytes: Buffer, at: number): number {
    const part = this.#phase === "until_close" ? bytes.subarray(at) : bytes.subarray(at, at + this.#remainingBytes);
    const room = this.#limits.keepBytes - this.#keptBytes;
    if (room > 0) {
      this.#kept.push(part.length > room ? part.subarray(0, room) : part);
      this.#keptBytes += Math.min(part.length, room);
    }
    this.#bodyBytes += part.length;
    this.#remainingBytes -= part.length;
    if (this.#bodyBytes > this.#limits.bodyMaxBytes) {
      this.#isCut = true;
      this.#complete();
    } else if (this.#remainingBytes === 0 && this.#phase !== "until_close") this.#endCount();
    return at + part.length;
  }

  #endCount(): void {
    if (this.#phase === "chunk") this.#phase = "chunk_end";
    else this.#complete();
  }

  #takeChunkSize(line: string): void {
    this.#headBytes -= Math.min(line.length + 2, usualChunkLineBytes);
    const digits = chunkSize.exec(line)?.[1];
    if (!strictChunkSize.test(line)) this.#mayPersist = false;
    if (digits === undefined) this.#fail("a chunk has no size");
    else if (/^0+$/.test(digits)) {
      // "A message body that uses the chunked transfer coding is incomplete if the zero-sized chunk that terminates the
      // encoding has not been received" (RFC 9112 section 8). The zero-sized chunk was received, so the answer is complete
      // even if its trailers are not.
      this.#isWhole = true;
      this.#phase = "trailers";
    } else this.#expect("chunk", Number.parseInt(digits, 16));
  }

  #takeChunkEnd(line: string): void {
    this.#headBytes -= 2;
    if (line === "") this.#phase = "chunk_size";
    else this.#fail("a chunk is longer than its size");
  }

  #takeTrailer(line: string): void {
    if (!isFieldLine(line)) this.#mayPersist = false;
  }

  #complete(): void {
    this.#isWhole = true;
    this.#phase = "over";
  }

  #failAsNoStatusLine(): void {
    this.#fail("it does not begin with a status line");
  }

  #fail(reason: string): void {
    this.#fault = reason;
    this.#mayPersist = false;
    this.#phase = "over";
  }
}

function isInterim({ statusCode }: StatusLine): boolean {
  return statusCode >= 100 && statusCode < 200;
}

/**
 * Returns whether the headers keep the connection open (RFC 9112 section 9.3). HTTP/1.0 with Transfer-Encoding has a faulty
 * framing, so that its connection is closed (section 6.1).
 */
function isKeptOpen(statusLine: StatusLine, headers: AnswerHeaders): boolean {
  if (!statusLine.persists && headers.has("transfer-encoding")) return false;
  const options = listOf(headers, "connection");
  return options.includes("close") ? false : statusLine.persists || options.includes("keep-alive");
}
