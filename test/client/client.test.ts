import { cpSync, symlinkSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "vitest";
import { temporaryFolder } from "../harness/service/service.ts";
import { expectWorks, modules, program, source } from "./client-program.ts";
import type { Program } from "./client-program.ts";

/** Loads the program on the source of the client, beside its packages. The long script packs, installs and compiles it. */
async function loaded(packages: string): Promise<Program> {
  const folder = await temporaryFolder();
  cpSync(join(source, "source"), join(folder, "source"), { recursive: true });
  symlinkSync(packages, join(folder, "node_modules"));
  await writeFile(join(folder, "program.ts"), program.replaceAll('"ringback-client"', '"./source/index.ts"'));
  return (await import(join(folder, "program.ts"))) as Program;
}

describe.runIf(modules !== undefined)("the client", () => {
  test("makes a watch, follows the feed and verifies a webhook", { timeout: 60_000 }, () => expectWorks(loaded(modules ?? "")));
});
