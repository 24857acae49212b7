import { execFile } from "node:child_process";
import { cpSync, symlinkSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, onTestFinished, test } from "vitest";
import { expectWorks, modules, program, root, source } from "./client-program.ts";
import type { Program } from "./client-program.ts";

const run = promisify(execFile);

/** Packs the client, installs the pack in a folder without a registry, compiles a program there and loads it. */
async function installed(modules: string): Promise<Program> {
  const folder = await mkdtemp(join(tmpdir(), "ringback-client-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const npm = (cwd: string, ...args: readonly string[]) =>
    run("npm", [...args, "--offline", "--no-audit", "--no-fund", "--ignore-scripts"], { cwd });
  const work = join(folder, "client");
  cpSync(source, work, { recursive: true, filter: (path) => !/node_modules|dist|schema\.ts$/.test(path.slice(source.length)) });
  symlinkSync(modules, join(work, "node_modules"));
  await run(process.execPath, ["build.mjs", root], { cwd: work });
  const packOf = async (path: string) => {
    const { stdout } = await npm(folder, "pack", path, "--json");
    return `./${(JSON.parse(stdout) as readonly { readonly filename: string }[])[0]?.filename ?? ""}`;
  };
  const packs = await Promise.all([work, join(modules, "openapi-fetch"), join(modules, "openapi-typescript-helpers")].map(packOf));
  await writeFile(join(folder, "package.json"), JSON.stringify({ name: "walk", private: true, type: "module" }));
  await npm(folder, "install", ...packs);
  const compilerOptions = {
    target: "es2023",
    lib: ["es2023", "dom", "dom.iterable"],
    module: "nodenext",
    strict: true,
    types: [],
    skipLibCheck: false,
    outDir: "out",
  };
  await writeFile(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["program.ts"] }));
  await writeFile(join(folder, "program.ts"), program);
  await mkdir(join(folder, "out"));
  await run(process.execPath, [join(modules, "typescript/bin/tsc"), "-p", "."], { cwd: folder }).catch(
    (error: Error & { readonly stdout: string }) => {
      throw new Error(error.stdout, { cause: error });
    },
  );
  return (await import(join(folder, "out/program.js"))) as Program;
}

describe.runIf(modules !== undefined)("the package of the client", () => {
  test("is packed, installed elsewhere and used: a watch, the feed, a webhook", { timeout: 300_000 }, () =>
    expectWorks(installed(modules ?? "")),
  );
});
