import { execFile } from "node:child_process";
import { cp, readFile, symlink } from "node:fs/promises";
import { join } from "node:path";
import { onTestFinished, expect, test } from "vitest";
import { listen } from "../../src/http/server/server.ts";
import { answerWaiting } from "../../src/http/server/starting-app.ts";
import { temporaryFolder } from "../harness/service/service.ts";

const root = new URL("../..", import.meta.url).pathname;

/** Runs a program with these variables and no others. */
function run(
  file: string,
  args: readonly string[],
  env: Record<string, string>,
): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }> {
  return new Promise((resolve) => {
    execFile(file, args, { env, cwd: "/" }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
    );
  });
}

const readManifest = async () => JSON.parse(await readFile(`${root}package.json`, "utf8")) as { bin: { ringback: string } };
const check = async (env: Record<string, string>) => (await run(process.execPath, [`${root}src/service/health-check.mjs`], env)).code;

async function serve(host: string, answer = answerWaiting): Promise<string> {
  const listening = await listen({ fetch: answer }, { host, port: 0 });
  onTestFinished(() => listening.close(0));
  return String(listening.port);
}

test.each([
  ["127.0.0.1", "127.0.0.1"],
  ["0.0.0.0", undefined],
  ["0.0.0.0", ""],
  ["127.0.0.2", " 127.0.0.2 "],
  ["::", "::"],
  ["::1", "::1"],
])("a service on %s is healthy, with HOST=%j and while it waits for its database", async (listening, host) => {
  const port = await serve(listening);
  expect(await check({ PORT: ` ${port} `, ...(host === undefined ? {} : { HOST: host }) })).toBe(0);
});

test("a port on which nothing listens, and an answer that is not 200, are unhealthy", async () => {
  const port = await serve("127.0.0.1", () => new Response(null, { status: 500 }));
  expect(await check({ PORT: port })).toBe(1);
  expect(await check({ PORT: "1" })).toBe(1);
  expect(await check({ PORT: "many" })).toBe(1);
});

test("the image asks this check, and has the command of package.json", async () => {
  const manifest = await readManifest();
  const dockerfile = await readFile(`${root}Dockerfile`, "utf8");
  expect(dockerfile).toContain('CMD ["node", "/app/src/service/health-check.mjs"]');
  expect(dockerfile).toContain(`ln -s /app/${manifest.bin.ringback} /usr/local/bin/ringback`);
});

const installed = {
  "a link in a folder of the path": async (folder: string, file: string) => {
    await symlink(join(root, file), join(folder, "ringback"));
    return join(folder, "ringback");
  },
  // Where Node strips no types, threads included.
  "a dependency of another package": async (folder: string, file: string) => {
    const own = join(folder, "node_modules", "ringback");
    // The packages of the integrations are no part of the program.
    await cp(join(root, "src"), join(own, "src"), { recursive: true, filter: (path) => !path.endsWith("/node_modules") });
    await cp(join(root, "package.json"), join(own, "package.json"));
    await symlink(join(root, "node_modules"), join(own, "node_modules"));
    return join(own, file);
  },
};

test.each(Object.entries(installed))("the command of package.json works as %s", async (_name, install) => {
  const folder = await temporaryFolder();
  const program = await install(folder, (await readManifest()).bin.ringback);
  const created = await run(process.execPath, [program, "account", "create", "acme"], { DATABASE_URL: `sqlite:${folder}/ringback.db` });
  expect(created).toMatchObject({ code: 0, stdout: expect.stringMatching(/^account acme\n/) as string });
  expect(created.stderr).not.toContain("Warning");
});
