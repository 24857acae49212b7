import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { Progress, partOf } from "../../src/cli/progress.ts";
import { colored, isColored } from "../../src/cli/paint.ts";
import { describeDelivery } from "../../src/cli/receiver/received-webhook.ts";
import { runCommand, temporaryFolder } from "../harness/service/service.ts";

const signal = new AbortController().signal;

/** Runs work that says `1`, `2`, …, each a given time after the one before it; returns what a terminal was shown. */
function shown(gapsMs: readonly number[], { onScreen, isAsked }: { readonly onScreen: boolean; readonly isAsked: boolean }) {
  vi.useFakeTimers({ toFake: ["performance"] });
  onTestFinished(() => void vi.useRealTimers());
  const [drawn, lines]: [string[], string[]] = [[], []];
  const terminal = { out: () => {}, error: (line: string) => void lines.push(line), signal };
  {
    using progress = new Progress({ ...terminal, progress: onScreen ? (line) => void drawn.push(line) : undefined }, isAsked);
    for (const [index, gapMs] of gapsMs.entries()) {
      vi.advanceTimersByTime(gapMs);
      progress.say(() => String(index + 1));
    }
  }
  return { drawn, lines };
}

test("progress is drawn on a screen, is lines with --progress, and is nothing else", () => {
  const gapsMs = [0, 50, 60, 2000, 1999, 1];
  expect(shown(gapsMs, { onScreen: true, isAsked: false })).toEqual({ drawn: ["1", "3", "4", "5", ""], lines: [] });
  expect(shown(gapsMs, { onScreen: false, isAsked: true })).toEqual({ drawn: [], lines: ["1", "4", "6"] });
  expect(shown(gapsMs, { onScreen: false, isAsked: false })).toEqual({ drawn: [], lines: [] });
});

test("a part of a whole has its percentage", () => {
  expect(partOf(1200, 5000, "rows")).toBe("1,200 of 5,000 rows (24 %)");
  expect(partOf(0, 0, "rows")).toBe("0 of 0 rows (100 %)");
  expect(partOf(3, 2, "MiB")).toBe("3 of 2 MiB (100 %)");
});

test("long commands say on standard error how far they are, if they are asked to", async () => {
  const folder = await temporaryFolder();
  const environment = { DATABASE_URL: `sqlite:${join(folder, "ringback.db")}` };
  await runCommand(["account", "create", "acme"], environment);
  const backup = (name: string, ...flags: readonly string[]) => runCommand(["backup", join(folder, name), ...flags], environment);
  expect(await backup("a.db")).toMatchObject({ code: 0, error: "" });
  expect(await backup("b.db", "--progress")).toMatchObject({ code: 0, error: expect.stringMatching(/^\d+ of \d+ MiB at most \(\d+ %\)/) });
  // The values of the database are sealed with the key that it was made with.
  const old = (await readFile(join(folder, "encryption.key"), "utf8")).trim();
  const rotating = { ...environment, RINGBACK_ENCRYPTION_KEY: `${Buffer.alloc(32, 1).toString("base64")},${old}` };
  const sealed = await runCommand(["reencrypt", "--progress"], rotating);
  expect(sealed).toMatchObject({ code: 0, error: expect.stringMatching(/^\d+ values re-encrypted so far, now of the kind /) });
  expect(await runCommand(["reencrypt"], rotating)).toMatchObject({ code: 0, error: "" });
});

test("output has colours on a terminal that can, unless NO_COLOR is set", () => {
  const terminal = { isTerminal: true, noColor: null, term: "xterm" };
  expect(isColored(terminal)).toBe(true);
  for (const other of [{ isTerminal: false }, { noColor: "1" }, { noColor: "" }, { term: "dumb" }])
    expect(isColored({ ...terminal, ...other })).toBe(false);
});

test("a webhook is painted by its signature and its outcome, and what strangers wrote moves no colour", () => {
  const body = Buffer.from(JSON.stringify({ type: "call.failure", status: "failure", terminal: true, reason: "\u001b[32mfine" }));
  const delivery = { receivedAtMs: 0, path: "/", headers: { "content-type": "application/json" }, body, webhookId: "evt_1", attempt: 1 };
  const line = describeDelivery({ ...delivery, verification: { kind: "verified" } }, colored);
  expect(line).toContain("\u001b[32mverified");
  expect(line).toContain("\u001b[31mcall.failure");
  expect(line).toContain('"\\u001b[32mfine"');
  const plainLine = describeDelivery({ ...delivery, verification: { kind: "refused", detail: "no" } });
  expect(plainLine).not.toContain("\u001b");
});
