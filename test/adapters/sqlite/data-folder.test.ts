import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { ensureFolderOf, folderRemedy } from "../../../src/adapters/sqlite/connection/open-connection.ts";

test.each([
  ["EACCES", ": let user 1000 write there, as with `chown 1000 /data`"],
  ["EPERM", ": let user 1000 write there, as with `chown 1000 /data`"],
  ["EROFS", ": it is on a read-only file system, so name another one"],
  ["ENOTDIR", ": it is not a folder, so name another one"],
  ["ENOENT", ""],
])("the refusal of a data folder names the way out of %s", (code, remedy) => {
  expect(folderRemedy(code, "/data", 1000)).toBe(remedy);
});

test("a file in the place of the data folder is called one", () => {
  const folder = mkdtempSync(join(tmpdir(), "ringback-folder-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "file"), "");
  expect(() => ensureFolderOf(join(folder, "file", "ringback.db"))).toThrow(
    /the data folder .*file cannot be written: .*it is not a folder/,
  );
});
