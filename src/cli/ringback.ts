import { readVariable } from "../service/config.ts";
import { colored, isColored } from "./paint.ts";
import { runCommandLine } from "./run-command-line.ts";

const ending = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => ending.abort());

const { stdout, stderr } = process;
const clearLine = "\r\u001b[2K";
// Screen whose cursor is in a line that is drawn again.
let drawn: NodeJS.WriteStream | null = null;

// A reader that has left, such as head, ends the command and is no fault.
for (const stream of [stdout, stderr])
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
    ending.abort();
  });

/** Reads a variable that decides over colours. One that cannot be read is set to something. */
function readTerminalVariable(name: "NO_COLOR" | "TERM"): string | null {
  try {
    return readVariable(name);
  } catch {
    return "";
  }
}

/** Writes a line, over the one that is drawn. */
function write(stream: NodeJS.WriteStream, line: string): void {
  drawn?.write(clearLine);
  drawn = null;
  stream.write(`${line}\n`);
}

/** Draws a line again; an empty one takes it away. */
function draw(stream: NodeJS.WriteStream, line: string): void {
  if (line === "" && drawn === null) return;
  stream.write(`${clearLine}${line.slice(0, (stream.columns || 80) - 1)}`);
  drawn = line === "" ? null : stream;
}

process.exitCode = await runCommandLine(process.argv.slice(2), {
  out: (line) => write(stdout, line),
  live: stdout.isTTY ? (line) => draw(stdout, line) : undefined,
  progress: stderr.isTTY ? (line) => draw(stderr, line) : undefined,
  paint: isColored({ isTerminal: stdout.isTTY, noColor: readTerminalVariable("NO_COLOR"), term: readTerminalVariable("TERM") })
    ? colored
    : undefined,
  error: (line) => write(stderr, line),
  signal: ending.signal,
});
