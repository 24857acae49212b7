import { EventEmitter, once } from "node:events";
import { expect, onTestFinished, test } from "vitest";
import { startReceiver } from "../../src/cli/receiver/receiver.ts";
import type { ScriptedAnswer } from "../../src/cli/receiver/receiver.ts";
import { fastPolling } from "../harness/service/environment.ts";
import { startService } from "../harness/service/service.ts";
import { simulatedUpstream } from "../harness/upstream/simulated-upstream.ts";

const secret = "whsec_c2VjcmV0LW9mLW91cnMtc2VjcmV0LW9mLW91cnM=";
/** What must never be in a line. */
const unspeakable =
  /(?:path|query|fragment|header|metadata|body|user)-of-ours|(?:answer|reason)-of-theirs|upstream-token|test-key-test-key|whsec_|c2VjcmV0LW9m/g;

const answers: Readonly<Record<string, ScriptedAnswer>> = {
  ok: { statusCode: 200, body: "answer-of-theirs" },
  refused: { statusCode: 500, body: "answer-of-theirs" },
  moved: { statusCode: 302, headers: { location: "http://127.0.0.1:9/path-of-ours" }, body: "answer-of-theirs" },
  later: { statusCode: 429, headers: { "retry-after": "1" }, body: "answer-of-theirs" },
  gone: { statusCode: 410, body: "answer-of-theirs" },
  reset: "reset",
  hang: "hang",
};

test("every line is JSON and holds no text of the client, the receiver or the upstream", { timeout: 60_000 }, async () => {
  // Setup: the most talkative level; every way an exchange with receiver or upstream ends; requests that are refused.
  let output = "";
  const outputs = new EventEmitter();
  const simulator = await simulatedUpstream({ authToken: "upstream-token" });
  const receiver = await startReceiver({ answers: ({ path }) => answers[path.split(/[/?]/)[2] ?? ""] ?? 204 });
  onTestFinished(() => receiver.close());
  const service = await startService({
    as: "process",
    environment: {
      ...simulator.environment("polyai-legacy"),
      ...fastPolling,
      LOG_LEVEL: "trace",
      RETRY_SCHEDULE: "0s,100ms",
      DELIVERY_TIMEOUT_MS: "500",
    },
    onOutput: (text) => {
      output += text;
      outputs.emit("output");
    },
  });
  const faults = [
    { kind: "not_json", body: "answer-of-theirs", times: 1 },
    { kind: "status", statusCode: 500, body: "answer-of-theirs", times: 1 },
    { kind: "redirect", location: "http://127.0.0.1:9/path-of-ours", times: 1 },
    { kind: "reset", times: 2 },
    { kind: "truncate", times: 1 },
  ] as const;
  const scenario = [{ atMs: 0, status: "failure", reason: "reason-of-theirs" }];
  const urls = [
    ...Object.keys(answers).map((answer) => `${receiver.url}/path-of-ours/${answer}?key=query-of-ours#fragment-of-ours`),
    "http://127.0.0.1:9/path-of-ours?query-of-ours",
    `${receiver.url.replace("http", "https")}/path-of-ours`,
  ];
  for (const [index, url] of urls.entries())
    await service.client.post("/v1/watches", {
      call_sid: simulator.trigger({ scenario, faults: faults.slice(index, index + 1) }),
      callback_url: url,
      signing_secret: secret,
      headers: { authorization: "Bearer header-of-ours", "x-api-key": "header-of-ours" },
      metadata: { lead_id: "metadata-of-ours" },
    });
  await service.client.post("/v1/watches", {
    call_sid: "body-of-ours",
    callback_url: "http://user-of-ours:body-of-ours@10.0.0.1/path-of-ours",
  });
  await service.client.post("/v1/hooks", { url: `${receiver.url}/path-of-ours`, signing_secret: "whsec_body-of-ours" });
  for (const path of ["/v1/watches?query-of-ours=1", "/v1/path-of-ours?query-of-ours", "/v1/endpoints"]) await service.client.get(path);
  const attempted = () =>
    [...output.matchAll(/^.*"delivery\.attempted".*$/gm)].map(([line]) => JSON.parse(line) as Record<string, unknown>);
  const endpoints = () => new Set(attempted().map((line) => line["endpoint_id"]));
  // One host: what its 429 holds back comes when the pause is over.
  while (endpoints().size < urls.length) await once(outputs, "output", { signal: AbortSignal.timeout(60_000) });
  expect(await service.stop()).toBe(0);

  const lines = output.trimEnd().split("\n");
  for (const line of lines) expect(() => JSON.parse(line) as unknown, line).not.toThrow();
  expect(output.match(unspeakable)).toBeNull();
  const fields = [
    "delivery_id",
    "event_id",
    "endpoint_id",
    "host",
    "attempt",
    "of",
    "status_code",
    "error_code",
    "duration_ms",
    "decision",
  ];
  for (const line of attempted()) expect(Object.keys(line)).toEqual(expect.arrayContaining([...fields, "next_attempt_at"]));
});
