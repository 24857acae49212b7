// Builds dist/: the types of the API from the service's OpenAPI document, then JavaScript and declarations.
// usage: node build.mjs [folder of the service]
import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const root = process.argv[2] ?? join(here, "../..");
const require = createRequire(import.meta.url);

/** Runs the program of an installed package. */
function run(name, bin, args) {
  // Some packages do not export their manifest, so that their folder is found by their main file.
  const main = require.resolve(name);
  const folder = main.slice(0, main.lastIndexOf(join("node_modules", name)) + join("node_modules", name).length);
  execFileSync(process.execPath, [join(folder, bin), ...args], { cwd: here, stdio: ["ignore", "inherit", "inherit"] });
}

rmSync(join(here, "dist"), { recursive: true, force: true });
mkdirSync(join(here, "dist"));
const serviceNode = join(root, "node_modules/.bin/node");
const document = execFileSync(serviceNode, ["--import", "./src/runtime-check.mjs", "src/cli/ringback.ts", "openapi"], {
  cwd: root,
  maxBuffer: 64 * 1024 * 1024,
});
const path = join(here, "dist/openapi.json");
writeFileSync(path, document);
run("openapi-typescript", "bin/cli.js", [path, "-o", join("source", "schema.ts")]);
run("typescript", "bin/tsc", ["-p", "."]);
rmSync(path);
process.stdout.write(`built ${dirname(path)}\n`);
