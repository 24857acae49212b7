import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { freePort } from "../../../src/cli/demo/service-process.ts";
import { eventually } from "../service/eventually.ts";

/** Whether the pooler is installed: Debian's `pgbouncer`. */
export const hasPgbouncer = spawnSync("pgbouncer", ["--version"]).status === 0;
if (!hasPgbouncer) process.stderr.write("NO pgbouncer (apt-get install pgbouncer): THE TESTS WITH A REAL POOLER DO NOT RUN\n");

/** Starts a pooler in front of the server of `serverUrl`; returns the URL of the same database through it. Ends with the test. */
export async function startPgbouncer(serverUrl: string, poolMode: "session" | "transaction" | "statement", poolSize = 20): Promise<string> {
  const server = new URL(serverUrl);
  const folder = await mkdtemp(join(tmpdir(), "ringback-pgbouncer-"));
  const port = await freePort();
  const file = join(folder, "pgbouncer.ini");
  await writeFile(
    file,
    `[databases]
* = host=${server.hostname} port=${server.port} user=${server.username} password=${server.password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = ${poolMode}
default_pool_size = ${poolSize}
`,
  );
  await chmod(folder, 0o755);
  // It refuses to run as root.
  const child = spawn("pgbouncer", [...(process.getuid?.() === 0 ? ["-u", "daemon"] : []), file], { stdio: "ignore" });
  const ended = once(child, "exit");
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await ended;
    await rm(folder, { recursive: true, force: true });
  });
  await eventually(
    () => isListening(port),
    (listening) => listening,
  );
  const url = new URL(serverUrl);
  url.port = String(port);
  url.hostname = "127.0.0.1";
  return url.href;
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(port, "127.0.0.1");
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
