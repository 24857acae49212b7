import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { freePort } from "../../../src/cli/demo/service-process.ts";

const startDeadlineMs = 10_000;

/** A Redis server of the benchmark's own; it ends, and its folder goes, with `stop`. */
export type RedisServer = { readonly pid: number; readonly port: number; stop(): Promise<void> };

/**
 * When Redis syncs its append-only file. `always`: before it answers, once for all writes of one turn of its loop, as a
 * commit is synced here. `everysec`: once a second, so that a power failure loses up to a second of answered writes.
 */
export type AppendFsync = "always" | "everysec";

/** Starts the `redis-server` of the PATH in a temporary folder; null where there is none. */
export async function startRedis(appendfsync: AppendFsync): Promise<RedisServer | null> {
  const port = await freePort();
  const folder = await mkdtemp(join(tmpdir(), "ringback-redis-"));
  const settings = {
    port,
    bind: "127.0.0.1",
    dir: folder,
    appendonly: "yes",
    appendfsync,
    save: "",
    "maxmemory-policy": "noeviction",
  };
  const child = spawn(
    "redis-server",
    Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]),
    { stdio: "ignore" },
  );
  const started = await Promise.race([once(child, "spawn").then(() => true), once(child, "error").then(() => false)]).catch(() => false);
  const stop = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null && child.kill("SIGKILL")) await once(child, "exit");
    await rm(folder, { recursive: true, force: true });
  };
  if (!started) {
    await rm(folder, { recursive: true, force: true });
    return null;
  }
  try {
    await untilListening(child, port);
  } catch (error) {
    await stop();
    throw error;
  }
  return { pid: child.pid ?? 0, port, stop };
}

async function untilListening(child: ChildProcess, port: number): Promise<void> {
  const deadlineMs = performance.now() + startDeadlineMs;
  while (!(await accepts(port))) {
    if (child.exitCode !== null || performance.now() > deadlineMs) throw new Error("redis-server does not start");
    await setTimeout(50);
  }
}

async function accepts(port: number): Promise<boolean> {
  const socket = createConnection(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
