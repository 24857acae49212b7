import { describe, expect, test } from "vitest";
import { parseMapEntry, statusMapChangesFrom, statusMapOf } from "../../../src/domain/sources/status-map.ts";
import { sourceProtocol } from "../../harness/upstream/settings.ts";
import { observeBody } from "../../../src/adapters/upstream/observe.ts";
import { seen } from "../../harness/observations.ts";

const fixed = ["queued", "success"];

test.each([
  ["Completed = Success ", { kind: "entry", word: "completed", status: "success" }],
  ["a=b=failure", { kind: "entry", word: "a=b", status: "failure" }],
  ["busy=", { kind: "entry", word: "busy", status: null }],
  ["done", { kind: "invalid", detail: "must be <word>=<status>, or <word>= to take the word away" }],
  ["=success", { kind: "invalid", detail: "must be <word>=<status>, or <word>= to take the word away" }],
  ["SUCCESS=failure", { kind: "invalid", detail: "maps success, which always means itself" }],
  ["done=over", { kind: "invalid", detail: 'maps "done" to none of queued, calling, success, failure' }],
  [`${"x".repeat(129)}=failure`, { kind: "invalid", detail: "has a word of more than 128 characters" }],
])("%j", (text, parsed) => {
  expect(parseMapEntry(text, fixed)).toEqual(parsed);
});

test("the operator's changes are over the words of the kind", () => {
  const changes = statusMapChangesFrom('{"busy":"calling","gone":null,"new":"queued","odd":"over"}');
  expect([...statusMapOf({ Busy: "failure", gone: "failure", done: "success" }, changes)]).toEqual([
    ["busy", "calling"],
    ["done", "success"],
    ["new", "queued"],
  ]);
  expect(statusMapChangesFrom(null)).toEqual({});
});

const observe = (status: string, statusMap: string | null = null) => observeBody(JSON.stringify({ status }), sourceProtocol({ statusMap }));

describe("words of PolyAI", () => {
  test.each([
    ["SUCCESS", seen("success")],
    ["completed", seen("success", "completed")],
    ["Failed", seen("failure", "Failed")],
    ["no-answer", seen("failure", "no-answer")],
    ["busy", seen("failure", "busy")],
    ["cancelled", seen("failure", "cancelled")],
    ["canceled", seen("failure", "canceled")],
    ["ringing", seen("calling", "ringing")],
    ["in-progress", seen("calling", "in-progress")],
    ["on-hold", seen("on-hold")],
    ["constructor", seen("constructor")],
  ])("%s", (word, observation) => {
    expect(observe(word)).toEqual(observation);
  });

  test("are those of the operator's map first", () => {
    expect(observe("completed", '{"completed":"failure"}')).toEqual(seen("failure", "completed"));
    expect(observe("busy", '{"busy":null}')).toEqual(seen("busy"));
    expect(observe("on-hold", '{"on-hold":"calling"}')).toEqual(seen("calling", "on-hold"));
  });
});
