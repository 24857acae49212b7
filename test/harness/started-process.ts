import { spawn } from "node:child_process";
import { once } from "node:events";
import { onTestFinished } from "vitest";
import { compileCache } from "./run/compile-cache.ts";

const root = new URL("../..", import.meta.url).pathname;
/** All that a start that was refused may write. */
export const oneLine = /^ringback: [^\n]+\n$/;

export type Ended = { readonly code: number | null; readonly stderr: string; readonly stdout: string };

/** The service as `npm start` runs it, in this environment alone, until it ends by itself or is stopped by whoever sees what it writes. */
export async function start(
  environment: Readonly<Record<string, string>>,
  onOutput?: (text: string, stop: (signal: NodeJS.Signals) => void) => void,
): Promise<Ended> {
  const child = spawn(process.execPath, ["--import", "./src/runtime-check.mjs", "src/main.ts"], {
    cwd: root,
    env: { ...compileCache, PORT: "0", METRICS_PORT: "0", HOST: "127.0.0.1", ...environment },
  });
  // One that waits for ever, where it should have been refused, must not outlive the test.
  onTestFinished(() => void child.kill("SIGKILL"));
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (chunk) => {
    stdout += String(chunk);
    onOutput?.(stdout, (signal) => child.kill(signal));
  });
  child.stderr.on("data", (chunk) => (stderr += String(chunk)));
  const [code] = (await once(child, "exit")) as [number | null];
  return { code, stdout, stderr };
}
