import { execFile } from "node:child_process";
import { readFileSync, realpathSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { StartupError } from "../../../domain/errors.ts";
import { ensureFolderOf } from "./open-connection.ts";
import { lockPathOf, takeServerLock } from "./server-lock.ts";

const probe = fileURLToPath(new URL("./lock-probe.mjs", import.meta.url));
const probeTimeoutMs = 10_000;
/** Exit code of the probe that was granted the lock. */
const granted = 3;

/**
 * Proves that the file system of the database has locks that exclude other processes, before anything is written. Some network
 * and shared file systems grant each lock to everybody; two servers would then tear the database. Rejects with `StartupError`
 * also if another server is running.
 */
export async function checkLocks(path: string): Promise<void> {
  ensureFolderOf(path);
  const lock = takeServerLock(path);
  try {
    await requireRefusal(lockPathOf(path));
  } finally {
    lock.close();
  }
}

/** Rejects with `StartupError` unless a child process is refused the lock that this process holds. */
export async function requireRefusal(lockPath: string): Promise<void> {
  const { code, reason } = await runProbe(lockPath);
  if (code === 0) return;
  const where = `${dirname(lockPath)} (file system ${fileSystemOf(dirname(lockPath))})`;
  throw new StartupError(
    code === granted
      ? `locks in ${where} exclude no other process, and a second server would tear the database: keep the database on a local disk`
      : `locks in ${where} cannot be checked with a second process: ${reason}`,
  );
}

function runProbe(lockPath: string): Promise<{ readonly code: number | null; readonly reason: string }> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, ["--no-warnings", probe, lockPath], { timeout: probeTimeoutMs }, (error, _, stderr) => {
      resolve({ code: error === null ? 0 : child.exitCode, reason: stderr.trim().split("\n").at(-1) || (error?.message ?? "") });
    });
  });
}

/** Returns type and source of the file system that holds a folder, from the mount with the longest matching path. */
function fileSystemOf(folder: string): string {
  try {
    const path = realpathSync(folder);
    const mounts = readFileSync("/proc/self/mountinfo", "utf8")
      .split("\n")
      .map((line) => {
        const [before = "", after = ""] = line.split(" - ");
        const [type = "unknown", source = ""] = after.split(" ");
        return { point: before.split(" ")[4] ?? "", name: `${type}, ${source}` };
      })
      .filter(({ point }) => point === "/" || path === point || (point !== "" && path.startsWith(`${point}/`)));
    return mounts.toSorted((a, b) => b.point.length - a.point.length)[0]?.name ?? "unknown";
  } catch {
    return "unknown";
  }
}
