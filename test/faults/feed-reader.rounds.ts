import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { expect, onTestFinished, test } from "vitest";
import { apiKey, fastPolling } from "../harness/service/environment.ts";
import { startService } from "../harness/service/service.ts";
import { simulatedUpstream } from "../harness/upstream/simulated-upstream.ts";
import { Random } from "../simulation/random.ts";
import { stormReaders } from "./feed-reader-storm.ts";

test.each(["sqlite-file", "postgres"] as const)(
  "a reader of the feed that is killed and resumed has every event with its effect once and in order, across a restore (%s)",
  { timeout: 180_000 },
  async (database) => {
    const figures = await stormReaders(database, 8, new Random("a feed reader", database));
    expect(figures.livesWithEffects).toBeGreaterThan(0);
    expect(figures.eventsLostByRestore).toBeGreaterThan(0);
  },
);

test(
  "a few lines with the rules of EventSource read every event once and in order, though the service is killed",
  { timeout: 60_000 },
  async () => {
    const simulator = await simulatedUpstream({ authToken: "the-token" });
    const service = await startService({ as: "process", environment: { ...simulator.environment("polyai-legacy"), ...fastPolling } });
    const program = new URL("event-source-program.ts", import.meta.url).pathname;
    const reader = spawn(process.execPath, [program, service.url, apiKey], { stdio: ["ignore", "pipe", "inherit"] });
    onTestFinished(() => void reader.kill("SIGKILL"));
    const lines = createInterface({ input: reader.stdout });
    const seen: string[] = [];
    lines.on("line", (line) => void seen.push((JSON.parse(line) as { readonly id: string }).id));
    const end = async (calls: number) => {
      const scenario = [{ atMs: 0, status: "success" }];
      const watches = Array.from({ length: calls }, () => ({ call_sid: simulator.trigger({ scenario }), callback_url: null }));
      expect((await service.client.post("/v1/watches/batch", { watches })).status).toBe(200);
    };
    const until = async (count: number) => {
      while (seen.length < count) await once(lines, "line", { signal: AbortSignal.timeout(30_000) });
    };
    await end(30);
    await until(10);
    await service.kill();
    await service.start();
    await end(20);
    await until(50);
    const { data } = (await service.client.get("/v1/events?limit=200")).body as { readonly data: readonly { readonly id: string }[] };
    expect(seen).toEqual(data.map(({ id }) => id));
  },
);
