// Builds dist/: JavaScript, and the icons and descriptions that n8n reads beside it. usage: node build.mjs [folder] [compiler]
import { execFileSync } from "node:child_process";
import { cpSync, readdirSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const out = process.argv[2] ?? join(here, "dist");
rmSync(out, { recursive: true, force: true });
const tsc = process.argv[3] ?? createRequire(import.meta.url).resolve("typescript/bin/tsc");
execFileSync(process.execPath, [tsc, "-p", here, "--outDir", out], { stdio: "inherit" });
for (const folder of ["credentials", "nodes"])
  for (const path of readdirSync(join(here, folder), { recursive: true }))
    if (/\.(?:svg|node\.json)$/.test(path)) cpSync(join(here, folder, path), join(out, folder, path));
