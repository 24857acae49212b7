import { expect, test } from "vitest";
import { eventTypeOf, goesBackwards, isTerminalStatus } from "../../../src/domain/calls/call-status.ts";

test.each([
  ["queued", "call.queued", false],
  ["calling", "call.calling", false],
  ["success", "call.success", true],
  ["failure", "call.failure", true],
  ["on_hold", "call.other", false],
  ["constructor", "call.other", false],
  ["", "call.other", false],
])("%s becomes the event %s", (status, type, terminal) => {
  expect(eventTypeOf(status, terminal)).toBe(type);
  expect(isTerminalStatus(status)).toBe(terminal);
});

test("only calling to queued and an end to any earlier status go backwards", () => {
  const statuses = ["queued", "calling", "success", "failure", "on_hold", "__proto__", "toString"];
  const back = statuses.flatMap((from) => statuses.filter((to) => goesBackwards(from, to)).map((to) => `${from} > ${to}`));
  expect(back).toEqual(["calling > queued", "success > queued", "success > calling", "failure > queued", "failure > calling"]);
});

test("a word of ours that is in no status map ends no call", () => {
  expect(["success", "failure", "queued"].map((word) => eventTypeOf(word, false))).toEqual(["call.other", "call.other", "call.queued"]);
});
