import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { ServiceClient } from "../../../src/cli/demo/service-client.ts";
import { FeedRefusedError, forwardFeed } from "../../../src/cli/receiver/feed-forwarder.ts";
import { startReceiver } from "../../../src/cli/receiver/receiver.ts";
import type { Delivery, ScriptedAnswer } from "../../../src/cli/receiver/receiver.ts";
import { generateSecret } from "../../../src/domain/webhooks/signature.ts";
import { apiKey } from "../../harness/service/environment.ts";
import { eventually } from "../../harness/service/eventually.ts";
import { temporaryFolder } from "../../harness/service/service.ts";
import { ServiceWorld } from "../../harness/service/service-world.ts";
import { second } from "../../harness/store-drafts.ts";

test("each event is posted in order until it is taken, signed, from now on, and after a restart behind the last that was taken", async () => {
  const service = await ServiceWorld.start();
  const client = new ServiceClient(new URL(service.service.url), apiKey);
  onTestFinished(() => client[Symbol.asyncDispose]());
  const secret = generateSecret();
  const received: Delivery[] = [];
  const answers: (ScriptedAnswer | null)[] = [500, "reset", 302];
  const receiver = await startReceiver({
    secrets: [secret],
    onDelivery: (delivery) => received.push(delivery),
    answers: () => answers.shift() ?? null,
  });
  onTestFinished(() => receiver.close());
  const cursorFile = join(await temporaryFolder(), "cursor");
  await service.client.post("/v1/hooks", { url: receiver.url, events: ["endpoint.failing"] });
  const call = async () => {
    await service.watch(null, { scenario: "success", events: null });
    await service.pass(12 * second);
  };
  const eventIds = async () => ((await client.get("/v1/events?limit=200")).body["data"] as { id: string }[]).map(({ id }) => id);
  await call();

  const troubles: string[] = [];
  const taken: string[] = [];
  const run = () => {
    const ending = new AbortController();
    const done = forwardFeed({
      get: (path) => client.get(path),
      target: new URL(receiver.url),
      secret,
      cursorFile,
      onAttempt: ({ id, answer }) => void (answer === 204 && taken.push(id)),
      onTrouble: (detail) => troubles.push(detail),
      signal: ending.signal,
    });
    return async () => {
      ending.abort();
      await done;
    };
  };
  const stop = run();
  await eventually(
    () => readFile(cursorFile, "utf8").catch(() => ""),
    (text) => text !== "",
  );
  const earlier = new Set(await eventIds());
  await call();
  await eventually(
    async () => taken.length,
    (count) => count >= 2,
  );
  await stop();
  const firstRun = taken.length;
  await call();
  const again = run();
  const all = await eventually(
    async () => (await eventIds()).filter((id) => !earlier.has(id)),
    (ids) => taken.length >= ids.length,
  );
  await again();
  expect(firstRun).toBeLessThan(taken.length);
  expect(taken).toEqual(all);
  // The first event was repeated until it was taken, and none went ahead of it.
  expect(received.slice(0, 4).map(({ webhookId, attempt }) => [webhookId, attempt])).toEqual(
    [1, 2, 3, 4].map((attempt) => [all[0], attempt]),
  );
  expect(received.every(({ verification }) => verification.kind === "verified")).toBe(true);
  expect(Object.keys(JSON.parse(received[0]?.body.toString() ?? "{}") as object)).toEqual(["type", "timestamp", "data"]);
  expect(troubles).toEqual([]);
});

test("a feed that refuses ends it, one that is away is asked again", async () => {
  const answers = [
    { statusCode: 503, body: { detail: "away" } },
    { statusCode: 401, body: { detail: "no such key" } },
  ];
  const troubles: string[] = [];
  const forwarded = forwardFeed({
    get: () => Promise.resolve(answers.shift() ?? { statusCode: 500, body: {} }),
    target: new URL("http://127.0.0.1:1/"),
    secret: generateSecret(),
    cursorFile: null,
    onAttempt: () => undefined,
    onTrouble: (detail) => troubles.push(detail),
    signal: new AbortController().signal,
  });
  await expect(forwarded).rejects.toThrow(FeedRefusedError);
  expect(troubles).toEqual(["503 away"]);
});
