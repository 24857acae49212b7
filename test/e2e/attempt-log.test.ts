import { expect, test } from "vitest";
import { startCallbacks } from "../harness/receivers/callbacks.ts";
import { eventually } from "../harness/service/eventually.ts";
import { apiKey } from "../harness/service/environment.ts";
import { startService } from "../harness/service/service.ts";

type Line = Readonly<Record<string, unknown>>;

const secrets = {
  path: "path-that-stays-secret",
  query: "token-in-the-query",
  header: "value-of-the-header",
  metadata: "metadata-of-the-crm",
  signing: "whsec_c2VjcmV0LW9mLXRoZS1sb2ctdGVzdC1vbmx5",
  answer: "answer-of-the-receiver",
};

test("one line for every attempt: ids, host, attempt of how many, code or error, duration, decision, next attempt; and nothing secret", async () => {
  const receiver = await startCallbacks(({ number }) =>
    number === 1 ? { status: 500, body: secrets.answer } : number === 2 ? "broken head" : 200,
  );
  const service = await startService({ as: "process", environment: { LOG_LEVEL: "debug", RETRY_SCHEDULE: "0s,50ms,50ms" } });
  const written = () => service.output.split("\n").slice(0, -1);
  const attempted = async () =>
    written()
      .map((line) => JSON.parse(line) as Line)
      .filter(({ msg }) => msg === "delivery.attempted");
  const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
  const trace = { traceparent: `00-${traceId}-00f067aa0ba902b7-01` };
  const registration = {
    call_sid: "OUT-sandbox-slow-logged",
    source: "sandbox",
    events: ["call.queued"],
    callback_url: receiver.url(`/${secrets.path}?key=${secrets.query}`),
    headers: { "x-api-key": secrets.header },
    metadata: { note: secrets.metadata },
    signing_secret: secrets.signing,
  };
  const { body: watch } = await service.client.post("/v1/watches", registration, trace);
  const attempts = await eventually(attempted, ({ length }) => length === 3);

  const { body: list } = await service.client.get(`/v1/deliveries?watch_id=${String(watch["id"])}`);
  const [delivery] = list["data"] as readonly Line[];
  for (const [index, line] of attempts.entries())
    expect(line).toEqual({
      level: 30,
      time: expect.any(String) as string,
      msg: "delivery.attempted",
      delivery_id: delivery?.["id"],
      event_id: delivery?.["event_id"],
      event_type: "call.queued",
      watch_id: watch["id"],
      account_id: expect.stringMatching(/^acc_/) as string,
      endpoint_id: watch["endpoint_id"],
      host: "127.0.0.1",
      attempt: index + 1,
      of: 3,
      mode: "scheduled",
      status_code: [500, null, 200][index],
      error_code: ["status", "reset", null][index],
      duration_ms: expect.any(Number) as number,
      decision: ["retry", "retry", "delivered"][index],
      delivery_status: ["pending", "pending", "delivered"][index],
      trace_id: traceId,
      next_attempt_at: index === 2 ? null : (expect.stringMatching(/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/) as string),
    });
  expect(receiver.received).toHaveLength(3);
  for (const secret of [...Object.values(secrets), secrets.signing.replace("whsec_", ""), apiKey])
    for (const line of written()) expect(line).not.toContain(secret);
  // Each attempt is a span of its own in the trace of the registration, and the event has nothing of it.
  const spans = receiver.received.map(({ headers }) => /^00-([0-9a-f]{32})-([0-9a-f]{16})-01$/.exec(headers["traceparent"] ?? ""));
  expect(spans.map((span) => span?.[1])).toEqual([traceId, traceId, traceId]);
  expect(new Set(spans.map((span) => span?.[2])).size).toBe(3);
  for (const { body } of receiver.received) expect(body).not.toContain(traceId);
  const { body: event } = await service.client.get(`/v1/events/${String(delivery?.["event_id"])}`);
  expect(JSON.stringify([event, watch])).not.toContain(traceId);
  const own = { traceparent: "of the endpoint" };
  const withHeader = { ...registration, call_sid: "OUT-sandbox-slow-own", callback_url: receiver.url("/own"), headers: own };
  await service.client.post("/v1/watches", withHeader, trace);
  const untraced = { ...registration, call_sid: "OUT-sandbox-slow-untraced", callback_url: receiver.url("/untraced") };
  await service.client.post("/v1/watches", untraced, { traceparent: `00-${traceId}-0000000000000000-01` });
  await receiver.arrived(5);
  const headersAt = (path: string) => receiver.received.find((callback) => callback.path === path)?.headers;
  expect([headersAt("/own")?.["traceparent"], headersAt("/untraced")?.["traceparent"]]).toEqual([own.traceparent, undefined]);
});
