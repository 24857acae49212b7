import { expect, test } from "vitest";
import { EarliestTimer } from "../../../src/engine/runtime/earliest-timer.ts";
import { FakeClock } from "../../harness/fake-clock.ts";
import { day, hour } from "../../harness/store-drafts.ts";

function openAlarm() {
  const clock = new FakeClock();
  const rings: number[] = [];
  const alarm = new EarliestTimer(clock, () => rings.push(clock.monotonicMs()));
  return { clock, rings, alarm };
}

test("the earliest of many times fires once, with one timer", async () => {
  const { clock, rings, alarm } = openAlarm();
  for (const delayMs of [500, 900, 300, 300, 700]) alarm.setWithin(delayMs);
  expect(clock.timerCount).toBe(1);
  await clock.advance(1000);
  expect(rings).toEqual([300]);
  alarm.setWithin(5);
  await clock.advance(10);
  expect(rings).toEqual([300, 1005]);
});

test("a due time fires at once, a time one day ahead within the hour", async () => {
  const { clock, rings, alarm } = openAlarm();
  for (const delayMs of [0, -7]) alarm.setWithin(delayMs);
  expect(rings).toEqual([0, 0]);
  alarm.setWithin(40 * day);
  await clock.advance(hour);
  expect(rings).toEqual([0, 0, hour]);
});

test("a closed timer never fires and holds no timer", async () => {
  const { clock, rings, alarm } = openAlarm();
  alarm.setWithin(100);
  alarm.close();
  for (const delayMs of [0, 50]) alarm.setWithin(delayMs);
  expect(clock.timerCount).toBe(0);
  await clock.advance(1000);
  expect(rings).toEqual([]);
});
