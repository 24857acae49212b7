import { spawn } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { createInterface } from "node:readline";
import { expect, onTestFinished, test } from "vitest";
import { ServiceClient } from "../../src/cli/demo/service-client.ts";
import { startCallbacks } from "../harness/receivers/callbacks.ts";

type Line = Readonly<Record<string, unknown>>;

const root = new URL("../..", import.meta.url).pathname;
const apiKey = "log-key-log-key-log-key-log-key";
const secrets = {
  path: "path-nobody-may-read",
  query: "token-in-the-query",
  header: "value-of-the-header",
  metadata: "what-only-the-crm-knows",
  signing: "whsec_c2VjcmV0LW9mLXRoZS1sb2ctdGVzdC1vbmx5",
  answer: "what-the-receiver-said",
};

/** The real process with its real log on standard output. */
async function startLogged(environment: Readonly<Record<string, string>>) {
  const child = spawn(process.execPath, ["--import", "./src/runtime-check.mjs", "src/main.ts"], {
    cwd: root,
    env: { PORT: "0", METRICS_PORT: "0", HOST: "127.0.0.1", DATABASE_URL: "sqlite::memory:", RINGBACK_API_KEY: apiKey, ...environment },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const lines: Line[] = [];
  const written: string[] = [];
  const arrivals = new EventEmitter();
  createInterface(child.stdout).on("line", (line) => {
    written.push(line);
    lines.push(JSON.parse(line) as Line);
    arrivals.emit("line");
  });
  const until = async (isDone: () => boolean): Promise<void> => {
    while (!isDone()) await once(arrivals, "line");
  };
  const named = (message: string) => lines.filter(({ msg }) => msg === message);
  onTestFinished(async () => {
    const gone = once(child, "exit");
    child.kill("SIGTERM");
    await gone;
  });
  await until(() => named("service.started").length > 0);
  const client = new ServiceClient(new URL(`http://127.0.0.1:${String(named("service.started")[0]?.["port"])}`), apiKey);
  onTestFinished(() => client[Symbol.asyncDispose]());
  return { client, named, until, written };
}

test("one line for every attempt: ids, host, attempt of how many, code or error, duration, decision, next attempt; and nothing secret", async () => {
  const receiver = await startCallbacks(({ number }) =>
    number === 1 ? { status: 500, body: secrets.answer } : number === 2 ? "broken head" : 200,
  );
  const service = await startLogged({
    LOG_LEVEL: "debug",
    RETRY_SCHEDULE: "0s,50ms,50ms",
    CALLBACK_ALLOW: "127.0.0.1/32",
    CALLBACK_ALLOW_HTTP: "true",
  });
  const { body: watch } = await service.client.post("/v1/watches", {
    call_sid: "OUT-sandbox-slow-logged",
    source: "sandbox",
    events: ["call.queued"],
    callback_url: receiver.url(`/${secrets.path}?key=${secrets.query}`),
    headers: { "x-api-key": secrets.header },
    metadata: { note: secrets.metadata },
    signing_secret: secrets.signing,
  });
  await service.until(() => service.named("delivery.attempted").length === 3);

  const { body: list } = await service.client.get(`/v1/deliveries?watch_id=${String(watch["id"])}`);
  const [delivery] = list["data"] as readonly Line[];
  const attempts = service.named("delivery.attempted");
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
      next_attempt_at: index === 2 ? null : (expect.stringMatching(/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/) as string),
    });
  expect(receiver.received).toHaveLength(3);
  for (const secret of [...Object.values(secrets), secrets.signing.replace("whsec_", ""), apiKey])
    for (const line of service.written) expect(line).not.toContain(secret);
});
