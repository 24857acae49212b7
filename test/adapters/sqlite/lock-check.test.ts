import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, onTestFinished, test } from "vitest";
import { checkLocks, requireRefusal } from "../../../src/adapters/sqlite/connection/lock-check.ts";
import { lockPathOf, takeServerLock } from "../../../src/adapters/sqlite/connection/server-lock.ts";
import { StartupError } from "../../../src/domain/errors.ts";

async function temporaryPath(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "ringback-locks-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return join(folder, "data", "ringback.db");
}

test("locks that exclude other processes pass, and are free afterwards", async () => {
  const path = await temporaryPath();
  await checkLocks(path);
  await checkLocks(path);
});

test("a file system that grants each lock to everybody is refused by name", async () => {
  const path = await temporaryPath();
  await checkLocks(path);
  // SQLite's `unix-none` takes no lock of the operating system: what a file system without locks does.
  const lock = new DatabaseSync(`file:${lockPathOf(path)}?vfs=unix-none`);
  onTestFinished(() => lock.close());
  lock.exec("begin exclusive");
  const refusal = requireRefusal(lockPathOf(path));
  await expect(refusal).rejects.toThrow(StartupError);
  await expect(refusal).rejects.toThrow(/\(file system \w+, .*\) exclude no other process.*local disk/);
});

test("a lock that cannot be probed is refused too, with the reason", async () => {
  await expect(requireRefusal("/nowhere/ringback.lock")).rejects.toThrow(/cannot be checked with a second process: .+/);
});

test("a lock that another server holds is refused as such", async () => {
  const path = await temporaryPath();
  await checkLocks(path);
  const lock = takeServerLock(path);
  await expect(checkLocks(path)).rejects.toThrow(/another server is using/);
  lock.close();
});
