import { execFile } from "node:child_process";
import { once } from "node:events";
import { chmod, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { readConfig } from "../../src/service/config.ts";
import { runCommand } from "../harness/service/service.ts";
import type { Environment } from "../harness/service/environment.ts";

export type ShellResult = { readonly code: number; readonly output: string };

/** `npm` as a program that hands its arguments and its environment to the test. Prints what it gets back; exit code 1 unless it is 200. */
const npmStandIn = `#!/usr/bin/env bash
answer=$({ printf '%s\\0' "$@"; printf '\\1\\0'; env -0; } | curl -q -s -w '\\n%{http_code}' --data-binary @- "$NPM_STAND_IN")
printf '%s\\n' "\${answer%$'\\n'*}"
[ "\${answer##*$'\\n'}" = 200 ]
`;

/**
 * Runs commands of documents with bash. \`npm run ringback\` runs the command in this process, because a start of npm and node
 * for each would take a second; \`npm start\` checks its environment as the service does at its start. \`ports\` says where those
 * that the documents name are now.
 */
export async function createShell(folder: string, given: Environment, ports: Readonly<Record<number, number>>) {
  const server = createServer(async (request, response) => {
    const text = Buffer.concat(await request.toArray()).toString();
    const [args = "", variables = ""] = text.split("\u0001\0");
    const environment = Object.fromEntries(
      variables.split("\0").flatMap((variable) => {
        const [, name = "", value = ""] = /^([A-Z_]+)=([\s\S]*)$/.exec(variable) ?? [];
        return name === "" || process.env[name] === value ? [] : [[name, value]];
      }),
    );
    const { code, output } = await runNpm(args.split("\0").slice(0, -1), environment);
    response.writeHead(code === 0 ? 200 : 422).end(output);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  await writeFile(join(folder, "npm"), npmStandIn);
  await chmod(join(folder, "npm"), 0o700);
  const lines = Object.entries(ports).map(([named, actual]) => `connect-to = "127.0.0.1:${named}:127.0.0.1:${actual}"`);
  await writeFile(join(folder, ".curlrc"), ["fail-with-body", "show-error", ...lines, ""].join("\n"));
  const env = {
    ...process.env,
    ...given,
    PATH: `${folder}:${process.env["PATH"] ?? ""}`,
    CURL_HOME: folder,
    NPM_STAND_IN: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
  };
  return (script: string): Promise<ShellResult> =>
    new Promise((resolve) => {
      execFile("bash", ["-eo", "pipefail", "-c", script], { cwd: folder, env, timeout: 60_000 }, (error, out, failed) =>
        resolve({ code: error === null ? 0 : Number(error.code ?? 1), output: `${out}${failed}` }),
      );
    });
}

async function runNpm(args: readonly string[], environment: Environment): Promise<ShellResult> {
  if (args.join(" ") === "start") {
    const config = readConfig(environment);
    return config.kind === "invalid" ? { code: 78, output: config.faults.join("\n") } : { code: 0, output: "" };
  }
  const [run, ...rest] = args.filter((argument) => argument !== "--silent");
  if (run !== "run" || rest[0] !== "ringback" || rest[1] !== "--") return { code: 2, output: `npm ${args.join(" ")} is not run here` };
  const { code, out, error } = await runCommand(rest.slice(2), environment);
  return { code, output: `${out}\n${error}` };
}
