import { parseArgs } from "node:util";
import type { ParseArgsOptionsConfig } from "node:util";

/** Where a command writes and what ends it. */
export type Terminal = {
  readonly out: (line: string) => void;
  readonly error: (line: string) => void;
  /** Aborted by SIGINT and SIGTERM. */
  readonly signal: AbortSignal;
};

export type Command = {
  readonly summary: string;
  /** Arguments and flags, one line each, as `--help` shows them. */
  readonly usage: string;
  /** Resolves with the exit code: 0 done, 1 failed. Rejects with `UsageError` when it was called wrongly. */
  run(args: readonly string[], terminal: Terminal): Promise<0 | 1>;
};

/** The command line was wrong: one line and exit code 2. */
export class UsageError extends Error {}

type Values<T extends ParseArgsOptionsConfig> = ReturnType<typeof parseArgs<{ options: T; allowPositionals: true }>>["values"];

/** Flags and exactly as many positional arguments as `positionals` names. `--json` is always among the flags. */
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

/** A port from the command line; 0 is any free one. */
export function readPort(text: string | undefined, name: string, fallback?: number): number {
  if (text === undefined && fallback !== undefined) return fallback;
  if (text === undefined || !/^\d{1,5}$/.test(text) || Number(text) > 65535)
    throw new UsageError(`--${name} must be a port from 0 to 65535`);
  return Number(text);
}

/** Everything that is piped in. */
export async function readStandardInput(): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Resolves when the command is to end. */
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
