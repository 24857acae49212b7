import { spawn } from "node:child_process";
import { once } from "node:events";
import { onTestFinished } from "vitest";
import { compileCache } from "../run/compile-cache.ts";
import type { Environment } from "./environment.ts";

const root = new URL("../../..", import.meta.url).pathname;

/** All that a start that was refused may write. */
export const oneLine = /^ringback: [^\n]+\n$/;

export type Ended = { readonly code: number | null; readonly stderr: string; readonly stdout: string };

type RunOptions = {
  /** Sees all of standard output so far, and may end the process. */
  readonly onOutput?: (stdout: string, stop: (signal: NodeJS.Signals) => void) => void;
  /** Files cannot grow past this number of blocks of 512 bytes, as on a full disk. */
  readonly fileLimitBlocks?: number;
};

/** Runs the service as `npm start` does, with these variables and no others, until it ends. */
export async function runToEnd(environment: Environment, { onOutput, fileLimitBlocks }: RunOptions = {}): Promise<Ended> {
  const limit = fileLimitBlocks === undefined ? "" : `ulimit -f ${fileLimitBlocks}; `;
  const program = [process.execPath, "--import", "./src/runtime-check.mjs", "src/main.ts"];
  const child = spawn("sh", ["-c", `${limit}exec "$0" "$@"`, ...program], {
    cwd: root,
    env: { ...compileCache, PORT: "0", METRICS_PORT: "0", HOST: "127.0.0.1", ...environment },
  });
  // A process that waits where its start should have been refused must not outlive the test.
  onTestFinished(() => void child.kill("SIGKILL"));
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (chunk) => {
    stdout += String(chunk);
    onOutput?.(stdout, (signal) => child.kill(signal));
  });
  child.stderr.on("data", (chunk) => (stderr += String(chunk)));
  const [code] = (await once(child, "close")) as [number | null];
  return { code, stdout, stderr };
}
