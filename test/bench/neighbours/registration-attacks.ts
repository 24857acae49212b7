import { randomUUID } from "node:crypto";
import { setTimeout } from "node:timers/promises";
import type { Attack, Attacker } from "./attacker.ts";

const batchSize = 1000;
/** Keeps the account within its quota of watches. */
const mostBatches = 100;
const mostCrowdedCalls = 20;
/** Between the registration of a crowded call and its end. */
const betweenMs = 200;

export const batches: Attack = {
  run: (attacker) => attacker.repeat(8, (index) => attacker.watch(watchesOn(attacker, "batch", index, 1)), mostBatches),
};

export const crowdedCall: Attack = { run: (attacker) => attacker.repeat(1, (index) => crowd(attacker, index), mostCrowdedCalls) };

/** Puts watches with endpoints of their own on one call, and lets the call end. */
async function crowd(attacker: Attacker, index: number): Promise<void> {
  const callSid = `OUT-held-${index}`;
  const watches = Array.from({ length: batchSize }, (_, path) => ({
    call_sid: callSid,
    callback_url: attacker.callback("ok", 0, `${index}-${path}`),
  }));
  await attacker.watch(watches);
  await setTimeout(betweenMs);
  await attacker.order(`end/${callSid}`);
}

export const otherCalls: Attack = {
  async run(attacker) {
    await attacker.watch(watchesOn(attacker, "other", 0, 1));
    await attacker.untilOver();
  },
};

export const deadHostNames: Attack = {
  run: (attacker) =>
    attacker.repeat(64, (index) =>
      attacker.send("POST", "/v1/watches", { call_sid: `OUT-dead-${index}`, callback_url: `https://h${index}.dead.example/hook` }),
    ),
};

const keyedItems = 180;
const longText = "x".repeat(1900);
const mostBodyBytes = 1_000_000;

export const keyedRequests: Attack = {
  run: (attacker) =>
    attacker.repeat(8, async (index) => {
      const headers = { "idempotency-key": randomUUID() };
      const watches = watchesOn(attacker, "keyed", index, 1)
        .slice(0, keyedItems)
        .map((watch) => ({ ...watch, metadata: { text: longText } }));
      await attacker.watch(watches, headers);
      await attacker.watch(watches, headers);
      await attacker.watch(watches.slice(1), headers);
      const single = { "idempotency-key": randomUUID() };
      const [watch] = watches;
      await attacker.send("POST", "/v1/watches", watch, single);
      await attacker.send("POST", "/v1/watches", { ...watch, metadata: { text: "y".repeat(mostBodyBytes) } }, single);
    }),
};

/** Bodies just below their limits that cost much to parse: 1 MiB and 4 MiB of brackets, and one with 60,000 keys. */
const brackets = "[".repeat(1_000_000);
const bracketBatch = `{"watches":${"[".repeat(4_000_000)}`;
const manyKeys = `{"call_sid":"OUT-keys","callback_url":null,"metadata":{${Array.from({ length: 60_000 }, (_, n) => `"k${n}":"v"`).join(",")}}}`;

export const structuredBodies: Attack = {
  run: (attacker) =>
    attacker.repeat(8, async () => {
      await attacker.send("POST", "/v1/watches", brackets);
      await attacker.send("POST", "/v1/watches/batch", bracketBatch);
      await attacker.send("POST", "/v1/watches", manyKeys);
    }),
};

function watchesOn(attacker: Attacker, kind: string, index: number, host: number): readonly object[] {
  return Array.from({ length: batchSize }, (_, offset) => ({
    call_sid: `OUT-${kind}-${index * batchSize + offset}`,
    callback_url: attacker.callback("ok", host, offset % 100),
  }));
}
