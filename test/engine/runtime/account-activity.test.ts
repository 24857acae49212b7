import { expect, test } from "vitest";
import { StoreUnavailableError } from "../../../src/domain/errors.ts";
import { AccountActivityRecorder } from "../../../src/engine/runtime/account-activity.ts";
import type { AccountActivity } from "../../../src/ports/stores/account-store.ts";
import { FakeClock } from "../../harness/fake-clock.ts";
import { account, apiKeyView } from "../../http/views.ts";

function recorder() {
  const clock = new FakeClock(Date.UTC(2026, 10, 24, 12));
  const written: AccountActivity[][] = [];
  const state = { isAway: false };
  const recordActivity = (activities: readonly AccountActivity[]): Promise<void> => {
    if (state.isAway) return Promise.reject(new StoreUnavailableError("away"));
    written.push([...activities]);
    return Promise.resolve();
  };
  const activity = new AccountActivityRecorder({ store: { recordActivity }, clock });
  return { clock, written, state, activity };
}

const minute = Date.UTC(2026, 10, 24, 12) / 60_000;

test("a minute is recorded once, when it is over, however many requests and polls it had", async () => {
  const { clock, written, activity } = recorder();
  const authentication = activity.noting({
    findByKey: (key) => Promise.resolve(key === "good" ? { kind: "account" as const, account, key: apiKeyView } : null),
  });
  for (let n = 0; n < 50; n++) {
    activity.polled("acc_2");
    await authentication.findByKey("good");
    await authentication.findByKey("bad");
  }
  await activity.tick();
  clock.standStill(59_000);
  await activity.tick();
  expect(written).toEqual([]);
  clock.standStill(1000);
  await activity.tick();
  await activity.tick();
  expect(written).toEqual([
    [
      { accountId: "acc_2", minute, polls: 50, lastRequestAtMs: null },
      { accountId: account.id, minute, polls: 0, lastRequestAtMs: Date.UTC(2026, 10, 24, 12) },
    ],
  ]);
});

test("a store that is away gets the minute later, and a stop records the one under way", async () => {
  const { clock, written, state, activity } = recorder();
  activity.polled("acc_2");
  state.isAway = true;
  clock.standStill(60_000);
  await activity.tick();
  state.isAway = false;
  await activity.tick();
  activity.polled("acc_3");
  await activity.stop();
  expect(written.flat().map(({ accountId, minute: of }) => [accountId, of - minute])).toEqual([
    ["acc_2", 0],
    ["acc_3", 1],
  ]);
});
