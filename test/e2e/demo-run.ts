import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { request } from "undici";
import { expect, onTestFinished } from "vitest";
import { compileCache } from "../harness/run/compile-cache.ts";

const root = new URL("../..", import.meta.url);

/** The demo with a temp folder of its own, so that what it leaves behind can be seen, and nothing else in its environment. */
export async function startDemo(...flags: string[]) {
  const folder = await mkdtemp(join(tmpdir(), "ringback-demo-test-"));
  const child = spawn(process.execPath, ["--import", "./src/runtime-check.mjs", "src/cli/demo.ts", ...flags], {
    cwd: root,
    env: { ...compileCache, TMPDIR: folder },
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(async () => {
    child.kill("SIGTERM");
    await rm(folder, { recursive: true, force: true });
  });
  const lines: string[] = [];
  const output = createInterface({ input: child.stdout });
  output.on("line", (line) => lines.push(line));
  const exited = once(child, "exit") as Promise<[number | null]>;
  const seen = async (pattern: RegExp) => {
    while (!lines.some((line) => pattern.test(line)))
      await Promise.race([once(output, "line"), exited.then(() => Promise.reject(new Error(lines.join("\n"))))]);
  };
  const addresses = () => [...lines.join("\n").matchAll(/http:\/\/127\.0\.0\.1:\d+/g)].map(([url]) => url);
  const leftovers = () => readdir(folder);
  return { child, lines, exited, seen, addresses, leftovers };
}

export async function expectNoListener(addresses: readonly string[]): Promise<void> {
  expect(addresses.length).toBeGreaterThanOrEqual(4);
  for (const url of addresses) await expect(request(url)).rejects.toThrow();
}
