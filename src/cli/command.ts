import { parseArgs } from "node:util";
import type { ParseArgsOptionsConfig } from "node:util";
import type { Paint } from "./paint.ts";

/** Output of a command and the signal that ends it. */
export type Terminal = {
  readonly out: (line: string) => void;
  readonly error: (line: string) => void;
  /** Draws the line at the bottom of a screen again. Left out if the output is no screen. */
  readonly live?: ((line: string) => void) | undefined;
  /**
   * Draws the line on standard error that shows the progress of the work; an empty line clears it. Left out if standard error is
   * not a terminal.
   */
  readonly progress?: ((line: string) => void) | undefined;
  /** Colours of the output. Left out if it has none. */
  readonly paint?: Paint | undefined;
  /** Aborted by SIGINT and SIGTERM. */
  readonly signal: AbortSignal;
};

export type Command = {
  readonly summary: string;
  /** Arguments and flags for `--help`, one line each. */
  readonly usage: string;
  /** Resolves with the exit code: 0 done, 1 failed. Rejects with `UsageError` for wrong usage. */
  run(args: readonly string[], terminal: Terminal): Promise<0 | 1>;
};

/** Wrong usage of the command line; shown as one line, with exit code 2. */
export class UsageError extends Error {}

/** Arguments of a command: flags with a text, flags that may be given several times, flags without a value, and positional ones. */
type Arguments<Text, List, Switch> = {
  readonly texts?: readonly Text[];
  readonly lists?: readonly List[];
  readonly switches?: readonly Switch[];
  readonly positionals?: readonly string[];
  /** Positional arguments after those, which may be left out. */
  readonly optional?: readonly string[];
};

type Values<Text extends string, List extends string, Switch extends string> = {
  readonly [Name in Text | List | Switch]?: Name extends Text ? string : Name extends List ? readonly string[] : boolean;
};

/** Parses arguments. The positional arguments must be those that are named, the optional ones aside. `--json` is always a flag. */
export function readArguments<const Text extends string = never, const List extends string = never, const Switch extends string = never>(
  args: readonly string[],
  { texts = [], lists = [], switches = [], positionals: names = [], optional = [] }: Arguments<Text, List, Switch>,
): { readonly values: Values<Text, List, Switch>; readonly json: boolean; readonly positionals: readonly string[] } {
  const options: ParseArgsOptionsConfig = {
    ...Object.fromEntries(texts.map((name) => [name, { type: "string" as const }])),
    ...Object.fromEntries(lists.map((name) => [name, { type: "string" as const, multiple: true }])),
    ...Object.fromEntries([...switches, "json"].map((name) => [name, { type: "boolean" as const }])),
  };
  const { values, positionals } = parse(args, options);
  if (positionals.length < names.length) throw new UsageError(`missing ${names[positionals.length] ?? ""}`);
  const most = names.length + optional.length;
  if (positionals.length > most) throw new UsageError(`unexpected argument ${JSON.stringify(positionals[most])}`);
  return { values: values as Values<Text, List, Switch>, json: values["json"] === true, positionals };
}

/** Parses a port; 0 picks a free one. */
export function readPort(text: string | undefined, name: string, fallback?: number): number {
  if (text === undefined && fallback !== undefined) return fallback;
  if (text === undefined || !/^\d{1,5}$/.test(text) || Number(text) > 65535)
    throw new UsageError(`--${name} must be a port from 0 to 65535`);
  return Number(text);
}

/** Reads standard input to its end. */
export async function readStandardInput(): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Resolves when the signal aborts. */
export function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

function parse(args: readonly string[], options: ParseArgsOptionsConfig) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
  } catch (error) {
    if (error instanceof TypeError && "code" in error && String(error.code).startsWith("ERR_PARSE_ARGS"))
      // Some have a hint in lines of their own.
      throw new UsageError(error.message.replaceAll("\n", " "));
    throw error;
  }
}
