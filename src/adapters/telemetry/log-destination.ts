import { fstatSync, write } from "node:fs";
import { Socket } from "node:net";
import { isatty, WriteStream } from "node:tty";

/** Maximum number of bytes that wait. Beyond it lines are lost. */
const maxWaitingBytes = 8 * 1024 * 1024;
const maxChunkBytes = 64 * 1024;

/** Writes a text; calls `done` once, with the error if some of it was not written. */
type Sink = (text: string, done: (error?: Error | null) => void) => void;

/**
 * Destination of the log that never blocks: lines wait in memory while a reader is slow, and are lost if too many wait or the
 * write fails (full disk, a reader that left). The next line that can be written is preceded by their number.
 */
export class LogDestination {
  /** Number of lines that were lost since the start. */
  lostLines = 0;
  readonly #openSink: () => Sink;
  #sink: Sink | null = null;
  #waiting: string[] = [];
  #waitingBytes = 0;
  #isWriting = false;
  #reportedLines = 0;
  #flushed: (() => void)[] = [];

  constructor(openSink: () => Sink = standardOutput) {
    this.#openSink = openSink;
  }

  /** `line` ends with a line break. */
  write(line: string): void {
    const bytes = Buffer.byteLength(line);
    if (this.#waitingBytes + bytes > maxWaitingBytes) {
      this.lostLines += 1;
      return;
    }
    this.#waiting.push(line);
    this.#waitingBytes += bytes;
    if (!this.#isWriting) this.#writeNext();
  }

  /** Resolves when nothing waits, or after `timeoutMs`. */
  flush(timeoutMs: number): Promise<void> {
    if (!this.#isWriting) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.#flushed.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  #writeNext(): void {
    let [count, bytes] = [0, 0];
    while (count < this.#waiting.length && (count === 0 || bytes < maxChunkBytes)) bytes += Buffer.byteLength(this.#waiting[count++] ?? "");
    const lines = this.#waiting.splice(0, count);
    const lost = this.lostLines;
    if (lost > this.#reportedLines) lines.unshift(lostLine(lost - this.#reportedLines));
    this.#isWriting = true;
    this.#sink ??= this.#openSink();
    this.#sink(lines.join(""), (error) => {
      this.#waitingBytes -= bytes;
      if (error === undefined || error === null) this.#reportedLines = lost;
      else this.lostLines += count;
      if (this.#waiting.length > 0) return this.#writeNext();
      this.#isWriting = false;
      for (const resolve of this.#flushed.splice(0)) resolve();
    });
  }
}

function lostLine(lines: number): string {
  return `${JSON.stringify({ level: 40, time: new Date().toISOString(), lines, msg: "log.lines_dropped" })}\n`;
}

/**
 * Opens standard output. A pipe, socket or terminal may stop taking bytes, so it is written without blocking by the event loop.
 * A write to it in a thread of the pool could not be ended, and would hold up the end of the process.
 */
function standardOutput(): Sink {
  const fd = 1;
  const kind = fstatSync(fd);
  if (!isatty(fd) && !kind.isFIFO() && !kind.isSocket()) return (text, done) => writeAll(fd, Buffer.from(text), done);
  const stream = isatty(fd) ? new WriteStream(fd) : new Socket({ fd, readable: false, writable: true });
  // Every failed write reports its error itself.
  stream.on("error", () => undefined).unref();
  return (text, done) => void stream.write(text, done);
}

function writeAll(fd: number, bytes: Buffer, done: (error?: Error | null) => void): void {
  write(fd, bytes, (error, written) => {
    if (error !== null || written === bytes.length) done(error);
    else writeAll(fd, bytes.subarray(written), done);
  });
}
