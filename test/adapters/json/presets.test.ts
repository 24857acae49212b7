import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { prepareSource } from "../../../src/adapters/json/prepare-source.ts";
import { presetNames, readPreset } from "../../../src/adapters/json/presets.ts";
import type { PresetName } from "../../../src/adapters/json/presets.ts";
import { protocolOf } from "../../../src/adapters/upstream/kinds.ts";
import { observeBody, observeHead } from "../../../src/adapters/upstream/observe.ts";
import { sourceSettings } from "../../harness/upstream/settings.ts";

const texts: Readonly<Partial<Record<PresetName, Readonly<Record<string, string>>>>> = {
  twilio: { account_sid: "ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" },
  "github-actions": { owner: "octo-org", repo: "octo-repo" },
};

function protocolOfPreset(name: PresetName) {
  const prepared = prepareSource(readPreset(name) ?? "", { texts: texts[name] ?? {}, headers: { authorization: "s3cr3t" } });
  if (prepared.kind === "invalid") throw new Error(JSON.stringify(prepared.faults));
  const { definition, credential, baseUrl } = prepared.source;
  return protocolOf(sourceSettings({ kind: "json", baseUrl, definition }), credential);
}

const answerOf = (name: PresetName, answer: string) => readFileSync(new URL(`answers/${name}/${answer}.json`, import.meta.url), "utf8");

type Expected = readonly [answer: string, status: string, reason: string, more?: "tentative"];
/** What each answer of the vendor's shape means. */
const meanings: Readonly<Record<PresetName, readonly Expected[]>> = {
  twilio: [
    ["answered", "success", "human"],
    ["answered-undetected", "success", "completed"],
    ["no-answer", "failure", "no-answer"],
    ["busy", "failure", "busy"],
    ["voicemail", "success", "machine_end_beep"],
    ["error", "failure", "failed"],
    ["running", "calling", "in-progress"],
  ],
  vapi: [
    ["answered", "success", "customer-ended-call"],
    ["no-answer", "failure", "customer-did-not-answer"],
    ["busy", "failure", "customer-busy"],
    ["voicemail", "failure", "voicemail"],
    ["error", "failure", "pipeline-error-openai-llm-failed", "tentative"],
    ["running", "calling", "in-progress"],
    ["ended-early", "failure", "ended", "tentative"],
  ],
  retell: [
    ["answered", "success", "user_hangup"],
    ["no-answer", "failure", "dial_no_answer"],
    ["busy", "failure", "dial_busy"],
    ["voicemail", "failure", "voicemail_reached"],
    ["error", "failure", "error_llm_websocket_open", "tentative"],
    ["running", "calling", "ongoing"],
    ["ended-early", "failure", "ended", "tentative"],
  ],
  bland: [
    ["answered", "success", "human"],
    ["no-answer", "failure", "no-answer", "tentative"],
    ["busy", "failure", "busy", "tentative"],
    ["voicemail", "success", "voicemail"],
    ["error", "failure", "Call failed to connect.", "tentative"],
    ["running", "calling", "started"],
    ["ended-early", "failure", "complete", "tentative"],
  ],
  "github-actions": [
    ["answered", "success", "success"],
    ["error", "failure", "failure"],
    ["cancelled", "failure", "cancelled"],
    ["timed-out", "failure", "timed_out"],
    ["skipped", "success", "skipped"],
    ["running", "calling", "in_progress"],
    ["waiting", "queued", ""],
    ["ended-early", "failure", "completed", "tentative"],
  ],
};

describe.each(presetNames)("the preset %s", (name) => {
  const protocol = protocolOfPreset(name);

  const cases = meanings[name].map(([answer, status, reason, more = "final"]) => ({ answer, status, reason, more }));
  test.each(cases)("says what $answer means", ({ answer, status, reason, more }) => {
    const observation = observeBody(answerOf(name, answer), protocol);
    expect(observation).toMatchObject({ kind: "status", status, reason, isMapped: true, isTentative: more === "tentative" });
  });

  test("has a meaning for each answer that is kept", () => {
    const kept = readdirSync(new URL(`answers/${name}/`, import.meta.url)).filter((file) => file.endsWith(".json"));
    expect(kept.toSorted()).toEqual(meanings[name].map(([answer]) => `${answer}.json`).toSorted());
  });

  test("keeps its details", () => {
    const observation = observeBody(answerOf(name, "answered"), protocol);
    const details: unknown = observation.kind === "status" ? JSON.parse(observation.details ?? "{}") : null;
    expect(details).toMatchSnapshot();
  });

  test("says what is refused, unknown and limited", () => {
    const codes = { 401: "unauthorized", 404: "not_found", 429: "rate_limited", 500: "failed" };
    for (const [code, kind] of Object.entries(codes))
      expect(observeHead({ statusCode: Number(code), headers: new Map() }, protocol.statusCodes, 0)).toMatchObject({ kind });
  });
});

test.each([
  ["vapi", ["artifact", "messages"]],
  ["retell", ["transcript_object", "transcript_with_tool_calls"]],
  ["bland", ["transcripts"]],
] as const)("an answer of %s with a long transcript is read as a short one", (name, lists) => {
  const protocol = protocolOfPreset(name);
  const short = answerOf(name, "answered");
  const answer = JSON.parse(short) as Record<string, unknown>;
  for (const key of lists) {
    const holder = (key === "artifact" ? answer["artifact"] : answer) as Record<string, readonly unknown[]>;
    const list = key === "artifact" ? "messages" : key;
    const turns = holder[list] ?? [];
    holder[list] = Array.from({ length: 1000 }, (_, index) => turns[index % turns.length]);
  }
  const long = JSON.stringify(answer);
  expect(Buffer.byteLength(long)).toBeGreaterThan(64 * 1024);
  expect(Buffer.byteLength(long)).toBeLessThan(protocol.answerMaxBytes);
  expect(observeBody(long, protocol)).toEqual(observeBody(short, protocol));
});

test("a SID of each vendor is one, and a path is none", () => {
  const sids: Readonly<Record<PresetName, string>> = {
    twilio: "CA0123456789abcdef0123456789abcdef",
    vapi: "3b7c6a1e-5d1f-4c1a-9a55-0f3f6f0e2b11",
    retell: "119c3f8e47135a29e65947eeb34cf12d",
    bland: "c1a6a1de-3c7b-4e6f-8a06-7b3c2f7b0b5d",
    "github-actions": "30433642",
  };
  for (const name of presetNames) {
    const { sidFault, unknownSids } = protocolOfPreset(name);
    expect([sidFault(sids[name]), sidFault(`${sids[name]}/..`) === null]).toEqual([null, false]);
    expect(unknownSids.some((sid) => sidFault(sid) === null)).toBe(true);
  }
});
