import { parseArgs } from "node:util";
import type { ParseArgsOptionsConfig } from "node:util";

/** Output of a command and the signal that ends it. */
export type Terminal = {
  readonly out: (line: string) => void;
  readonly error: (line: string) => void;
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

/** Wrong usage of the command line: one line and exit code 2. */
export class UsageError extends Error {}

type Values<T extends ParseArgsOptionsConfig> = ReturnType<typeof parseArgs<{ options: T; allowPositionals: true }>>["values"];

/** Parses flags and exactly the positional arguments that `positionals` names. `--json` is always a flag. */
export function readArguments<const T extends ParseArgsOptionsConfig>(
  args: readonly string[],
  options: T,
  positionals: readonly string[] = [],
): { readonly values: Values<T>; readonly json: boolean; readonly positionals: readonly string[] } {
  const withJson = { ...options, json: { type: "boolean" } } as const;
  const parsed = parse(args, withJson);
  if (parsed.positionals.length < positionals.length) throw new UsageError(`missing ${positionals[parsed.positionals.length] ?? ""}`);
  if (parsed.positionals.length > positionals.length)
    throw new UsageError(`unexpected argument ${JSON.stringify(parsed.positionals[positionals.length])}`);
  const values = parsed.values as Values<T> & { readonly json?: boolean };
  return { values, json: values.json === true, positionals: parsed.positionals };
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
      throw new UsageError(error.message);
    throw error;
  }
}
