import { expect, test } from "vitest";
import { PolledSource } from "../../../src/engine/sources/polled-source.ts";
import type { PollableCall } from "../../../src/engine/sources/polled-source.ts";
import type { PollAnswer } from "../../../src/ports/call-source.ts";
import type { Logger } from "../../../src/ports/telemetry.ts";
import { FakeClock } from "../../harness/fake-clock.ts";
import { broken, fine, missing, pollPolicy, queuedPoll, unauthorized } from "../../harness/polling.ts";
import { silentMetrics } from "../../harness/silent-telemetry.ts";

const call = (callId: string): PollableCall => ({
  ...queuedPoll(),
  callId,
  callSid: "OUT-1",
  scope: "",
  status: null,
  dueAtMonotonicMs: 0,
  minIntervalMs: 0,
  problemDetail: null,
  planWeight: 1,
});

function start() {
  const clock = new FakeClock();
  const answers: PollAnswer[] = [];
  const lines: unknown[] = [];
  const log = (level: string) => (fields: Readonly<Record<string, unknown>>, message: string) =>
    void lines.push([level, message, fields["call_id"], fields["outcome"], fields["detail"], fields["correlation_id"]]);
  const logger: Logger = { debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error") };
  const callSource = {
    poll: async () => {
      const answer = answers.shift();
      if (answer === undefined) throw new Error("no poll was expected");
      return answer;
    },
    sidFault: () => null,
    close: async () => {},
  };
  const source = new PolledSource<PollableCall>(
    {
      source: { id: "src_1", name: "default", kind: "polyai-legacy", maxPollsPerSecond: 10 },
      callSource,
      policy: pollPolicy,
      intervalMinMs: 2000,
      intervalMaxMs: 5000,
    },
    { clock, logger, metrics: silentMetrics },
  );
  const poll = async (polled: PollableCall, observation: PollAnswer["observation"], correlationId: string | null = null) => {
    answers.push({ observation, upstreamDateMs: null, durationMs: 1, correlationId });
    await source.poll(polled);
    return polled.problemDetail;
  };
  return { clock, lines, poll };
}

test("a failed poll says why, with the upstream's id of it: in its line, and of its call until a good poll", async () => {
  const { clock, lines, poll } = start();
  const [one, other] = [call("call_1"), call("call_2")];
  expect(await poll(one, fine("queued"))).toBeNull();
  expect(await poll(one, missing)).toBe("answered that it does not know the call");
  expect(await poll(one, fine("queued"))).toBeNull();
  expect(await poll(one, broken, "cor-1")).toBe("HTTP 500 (correlation id cor-1)");
  expect(await poll(one, unauthorized, "cor-2")).toBe("answered 401 (correlation id cor-2)");
  expect(await poll(other, broken)).toBe("HTTP 500");
  expect(await poll(one, fine("calling"), "cor-3")).toBeNull();
  await clock.advance(60_000);
  await poll(one, broken);
  expect(lines).toEqual([
    ["debug", "poll.failed", "call_1", "not_found", "answered that it does not know the call", null],
    ["warn", "poll.failed", "call_1", "server_error", "HTTP 500", "cor-1"],
    ["debug", "poll.failed", "call_1", "unauthorized", "answered 401", "cor-2"],
    ["debug", "poll.failed", "call_2", "server_error", "HTTP 500", null],
    ["warn", "poll.failed", "call_1", "server_error", "HTTP 500", null],
  ]);
});
