import { once, EventEmitter } from "node:events";
import { expect, onTestFinished } from "vitest";
import { startReceiver } from "../../src/cli/receiver/receiver.ts";
import type { Delivery } from "../../src/cli/receiver/receiver.ts";
import { fastPolling, signingSecret } from "../harness/service/environment.ts";
import { prepareService } from "../harness/service/service.ts";
import type { ProcessService } from "../harness/service/service.ts";
import { simulatedUpstream } from "../harness/upstream/simulated-upstream.ts";

const batchSize = 20;

type Webhook = {
  readonly type: string;
  readonly data: { readonly watch_id: string; readonly call_sid: string; readonly sequence: number; readonly terminal: boolean };
};

/** Keeps every watch that was promised (201) and every webhook that came. */
class Auditor {
  readonly watchIdByKey = new Map<string, string>();
  readonly #bodies = new Map<string, string>();
  readonly #webhooks = new Map<string, Webhook[]>();
  readonly #ended = new Set<string>();
  readonly faults: string[] = [];

  promised(key: string, watchId: string): void {
    const before = this.watchIdByKey.get(key);
    if (before !== undefined && before !== watchId) this.faults.push(`${key} was promised ${before}, then ${watchId}`);
    this.watchIdByKey.set(key, watchId);
  }

  delivered({ webhookId, body, verification }: Delivery): void {
    const text = body.toString();
    if (verification.kind !== "verified") this.faults.push(`${webhookId} does not verify`);
    const before = this.#bodies.get(webhookId);
    if (before !== undefined) {
      if (before !== text) this.faults.push(`${webhookId} came with another body`);
      return;
    }
    this.#bodies.set(webhookId, text);
    const webhook = JSON.parse(text) as Webhook;
    const { watch_id: watchId, terminal } = webhook.data;
    this.#webhooks.set(watchId, [...(this.#webhooks.get(watchId) ?? []), webhook]);
    if (terminal) this.#ended.add(watchId);
  }

  get distinct(): number {
    return this.#bodies.size;
  }

  allEnded(): boolean {
    return [...this.watchIdByKey.values()].every((watchId) => this.#ended.has(watchId));
  }

  /** Promises that were not kept, one line each. */
  audit(): readonly string[] {
    const gaps = [...this.watchIdByKey.values()].flatMap((watchId) => {
      const webhooks = (this.#webhooks.get(watchId) ?? []).toSorted((a, b) => a.data.sequence - b.data.sequence);
      const sequences = webhooks.map(({ data }) => data.sequence);
      const isWhole = sequences.every((sequence, index) => sequence === index + 1) && webhooks.at(-1)?.type === "call.success";
      const terminals = webhooks.filter(({ data }) => data.terminal).length;
      return isWhole && terminals === 1 ? [] : [`${watchId}: ${webhooks.map(({ type, data }) => `${data.sequence} ${type}`).join(", ")}`];
    });
    return [...this.faults, ...gaps];
  }
}

/** Registers as a client does that wants to be sure: again, until it is answered. */
async function register(
  service: ProcessService,
  auditor: Auditor,
  watches: readonly { call_sid: string; callback_url: string }[],
): Promise<void> {
  for (;;) {
    const [only] = watches;
    const answer =
      watches.length === 1 && only !== undefined
        ? await service.client.post("/v1/watches", only).then(
            ({ status, body }) => [{ status, watch: body }],
            () => null,
          )
        : await service.client.post("/v1/watches/batch", { watches }).then(
            ({ body }) => (body["results"] ?? null) as readonly { status: number; watch: Readonly<Record<string, unknown>> }[] | null,
            () => null,
          );
    if (answer?.every(({ status }) => status === 200 || status === 201) === true) {
      for (const [index, { watch }] of answer.entries()) auditor.promised(watches[index]?.call_sid ?? "", String(watch["id"]));
      return;
    }
    await once(AbortSignal.timeout(50), "abort");
  }
}

/**
 * Calls that are registered one by one and in batches of 20, by clients that ask again until they are answered. Timeline:
 * SIGKILL at the webhooks with these numbers (there is one of each call at least), each in the middle of everything; start.
 * What this proves: an answered registration exists, once; every event arrives, its sequence without a gap; what comes
 * again has the same id and the same bytes.
 */
export async function killStorm(calls: number, killedAt: readonly number[]): Promise<void> {
  const killsAt = [...killedAt];
  const simulator = await simulatedUpstream({ authToken: "the-token", apiKey: "the-key" });
  const auditor = new Auditor();
  const arrivals = new EventEmitter();
  const service = await prepareService({
    as: "process",
    environment: { ...simulator.environment("polyai-agents"), ...fastPolling, RETRY_SCHEDULE: "0s,200ms,500ms,1s,1s,1s" },
  });
  const receiver = await startReceiver({
    secrets: [signingSecret],
    onDelivery: (delivery) => {
      auditor.delivered(delivery);
      if (killsAt[0] !== undefined && auditor.distinct >= killsAt[0]) {
        killsAt.shift();
        service.killNow();
        arrivals.emit("killed");
      }
      arrivals.emit("delivery");
    },
  });
  onTestFinished(() => receiver.close());
  const scenario = [
    { atMs: 0, status: "queued" },
    { atMs: 4000, status: "calling" },
    { atMs: 9000, status: "success" },
  ];
  const drafts = Array.from({ length: calls }, (_, index) => ({
    call_sid: simulator.trigger({ scenario }),
    callback_url: `${receiver.url}/hooks/${index % 40}`,
    signing_secret: signingSecret,
  }));
  await service.start();
  const restarting = (async () => {
    for (let kill = 0; kill < killedAt.length; kill++) {
      await once(arrivals, "killed", { signal: AbortSignal.timeout(60_000) });
      await service.kill();
      await service.start();
    }
  })();
  const groups = [
    ...drafts.slice(0, calls / 2).map((draft) => [draft]),
    ...Array.from({ length: calls / 2 / batchSize }, (_, index) => {
      const from = calls / 2 + index * batchSize;
      return drafts.slice(from, from + batchSize);
    }),
  ];
  // Four clients, each with one registration at a time.
  await Promise.all(
    Array.from({ length: 4 }, async () => {
      for (let group = groups.shift(); group !== undefined; group = groups.shift()) await register(service, auditor, group);
    }),
  );
  await restarting;
  while (!auditor.allEnded()) await once(arrivals, "delivery", { signal: AbortSignal.timeout(60_000) });
  expect(auditor.audit()).toEqual([]);
  expect(auditor.watchIdByKey.size).toBe(calls);
  expect(await service.stop()).toBe(0);
}
