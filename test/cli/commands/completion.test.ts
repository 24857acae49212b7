import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { runCommand } from "../../harness/service/service.ts";

/** What bash offers after the words typed, the last of which is begun. */
async function offered(...typed: readonly string[]): Promise<readonly string[]> {
  const { code, out } = await runCommand(["completion", "bash"]);
  expect(code).toBe(0);
  const words = ["ringback", ...typed].map((word) => `'${word}'`).join(" ");
  const script = `${out}\nCOMP_WORDS=(${words}); COMP_CWORD=${typed.length}; _ringback; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { status, stdout, stderr } = spawnSync("bash", ["--norc", "-c", script], { encoding: "utf8" });
  expect([status, stderr]).toEqual([0, ""]);
  return stdout.split("\n").filter((line) => line !== "");
}

test("bash completes commands, their second words and their flags", async () => {
  expect(await offered("")).toEqual(expect.arrayContaining(["serve", "account", "source", "doctor", "mcp", "completion"]));
  expect(await offered("do")).toEqual(["doctor"]);
  expect(await offered("source", "")).toEqual(expect.arrayContaining(["set", "list", "check", "remove"]));
  expect(await offered("source", "set", "crm", "--pre")).toEqual(["--preset"]);
  expect(await offered("account", "create", "crm", "--may")).toEqual(["--may-place"]);
  expect(await offered("watch", "--no")).toEqual(["--no-wait"]);
  expect(await offered("nothing", "--")).toEqual([]);
});

const casesOf = (script: string) =>
  script
    .split("\n")
    .filter((line) => line.includes(";;"))
    .toSorted();

test("the script of zsh has the same words", async () => {
  const [bash, zsh] = await Promise.all([runCommand(["completion", "bash"]), runCommand(["completion", "zsh"])]);
  expect(zsh.out).toContain("compdef _ringback ringback");
  expect(casesOf(zsh.out)).toEqual(casesOf(bash.out));
});

const hasZsh = spawnSync("zsh", ["--version"]).status === 0;

test.skipIf(!hasZsh)("zsh completes flags with it (apt-get install zsh)", async () => {
  const { out } = await runCommand(["completion", "zsh"]);
  // Outside of a completion compadd is refused, so that it prints here what it is given.
  const script = `compdef() {}\n${out}\ncompadd() { shift; print -l -- "$@" }\nwords=(ringback source set crm ''); CURRENT=5\n_ringback`;
  const { status, stdout, stderr } = spawnSync("zsh", ["-f", "-c", script], { encoding: "utf8" });
  expect([status, stderr]).toEqual([0, ""]);
  expect(stdout.trim().split("\n")).toEqual(expect.arrayContaining(["--preset", "--json", "--help"]));
});
