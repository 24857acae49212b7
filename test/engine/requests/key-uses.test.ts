import { expect, test } from "vitest";
import { KeyUses } from "../../../src/engine/requests/key-uses.ts";
import type { KeyUse } from "../../../src/ports/stores/account-store.ts";
import { FakeClock } from "../../harness/fake-clock.ts";
import { minute, second, startMs } from "../../harness/store-drafts.ts";

function createUses() {
  const clock = new FakeClock(startMs);
  const written: (readonly KeyUse[])[] = [];
  const state = { isAway: false };
  const uses = new KeyUses({
    store: {
      noteKeyUses: async (portion) => {
        if (state.isAway) throw new Error("away");
        written.push(portion);
      },
    },
    clock,
  });
  return { clock, written, state, uses };
}

test("a thousand requests with a key are one row a minute", async () => {
  const { clock, written, uses } = createUses();
  for (let n = 0; n < 600; n++) {
    uses.note("key_1");
    uses.note("key_1");
    await uses.tick();
    await clock.advance(second / 5);
  }
  await uses.tick();
  // The use of the second minute is known when the first one is over.
  expect(written).toEqual([[{ keyId: "key_1", usedAtMs: startMs + minute }]]);
});

test("nothing is written for keys that are not used", async () => {
  const { clock, written, uses } = createUses();
  uses.note("key_1");
  for (let n = 0; n < 5; n++) {
    await clock.advance(minute);
    await uses.tick();
  }
  expect(written).toHaveLength(1);
});

test("a write that fails is repeated", async () => {
  const { clock, written, state, uses } = createUses();
  uses.note("key_1");
  state.isAway = true;
  await expect(uses.write()).rejects.toThrow("away");
  state.isAway = false;
  await clock.advance(minute);
  await uses.tick();
  expect(written).toEqual([[{ keyId: "key_1", usedAtMs: startMs }]]);
});

test("many keys are written in portions", async () => {
  const { written, uses } = createUses();
  for (let n = 0; n < 250; n++) uses.note(`key_${n}`);
  await uses.write();
  expect(written.map(({ length }) => length)).toEqual([100, 100, 50]);
});
