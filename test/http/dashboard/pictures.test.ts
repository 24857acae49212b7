import { describe, expect, test } from "vitest";
import { answered, hour, minute, only, second, statusChange } from "../../harness/store-drafts.ts";
import { openDashboard, signIn } from "./dashboard-world.ts";
import { textOf } from "./page-text.ts";

const url = "https://crm.example/hooks/calls";

/** An account with a call that was queued, seen calling 40 s later and failed; its first webhook arrived with the second attempt. */
async function eventfulDashboard() {
  const dashboard = await openDashboard();
  const { world, clock } = dashboard;
  const { view } = await world.watch("OUT-1", { url });
  const first = only((await world.see("OUT-1", "queued")).jobs);
  await world.record(first, answered(503));
  world.pass(20 * second);
  for (const job of (await world.claim()).jobs) await world.record(job);
  world.pass(20 * second);
  // The call had not been polled for 35 s.
  const calling = await world.commit("OUT-1", [statusChange("calling", "", world.nowMs - 35 * second)]);
  for (const job of calling.jobs) await world.record(job);
  world.pass(2 * minute);
  for (const job of (await world.see("OUT-1", "failure", "no answer")).jobs) await world.record(job, answered(410));
  clock.setWall(world.nowMs);
  return { ...dashboard, ...(await signIn(dashboard)), watchId: view.watch.id };
}

describe("the pictures of the overview", () => {
  test("say in words and numbers what they draw", async () => {
    const { get } = await eventfulDashboard();
    const { text } = await get("/dashboard");
    const said = textOf(text);
    expect(said).toContain("3 transitions and 2 delivered webhooks:");
    expect(said).toContain("50 % of 4 attempts delivered, 2 did not");
    expect(said).toMatch(/Half of the webhooks arrived within [\d.]+ (?:ms|s), 95 of 100 within (?:1\d|2\d) s/);
    expect(said).toMatch(/Half of the transitions were seen within [\d.]+ (?:s|min)/);
    const pictures = [...text.matchAll(/<svg [^>]*role="img" aria-label="([^"]+)"/g)].map(([, label]) => label);
    expect(pictures).toHaveLength(4);
    // Each picture has its numbers in a table.
    expect([...text.matchAll(/<details>\s*<summary>Numbers: [^<]+<\/summary>\s*<table/g)]).toHaveLength(4);
    expect(said).toMatch(/From \(UTC\) Transitions Webhooks delivered .* 12:00 .* 12:02/);
    // A minute in which every attempt failed is the one to see.
    expect(said).toMatch(/From \(UTC\) Attempts that delivered 12:00 66\.6 % 12:02 0 %/);
    expect(text).not.toContain("style=");
  });

  test("show an hour, a day or a week, and nothing of others", async () => {
    const { get, world, clock } = await eventfulDashboard();
    world.pass(3 * hour);
    clock.setWall(world.nowMs);
    await world.store.deleteExpired({ beforeMs: 0, nowMs: world.nowMs, limit: 10 });
    const said = async (range: string) => textOf((await get(`/dashboard?range=${range}`)).text);
    expect(await said("hour")).toContain("0 transitions and 0 delivered webhooks");
    expect(await said("hour")).toContain("None in this time.");
    for (const range of ["day", "week"]) expect(await said(range)).toContain("3 transitions and 2 delivered webhooks");
    expect((await get("/dashboard?range=year")).status).toBe(422);
    const other = await world.account("other");
    const asked = await world.store.readActivity({ accountId: other.id, sinceMs: 0, stepMs: hour });
    expect(asked).toEqual([]);
  });
});

describe("the picture of a call", () => {
  test("has the time in each status, a tick for each attempt, and what was late and why", async () => {
    const { get, watchId } = await eventfulDashboard();
    const { text } = await get(`/dashboard/watches/${watchId}`);
    const said = textOf(text);
    expect(said).toMatch(/queued 40 s calling 2 min failure/);
    expect(text.match(/class="tick good"/g)).toHaveLength(2);
    expect(text.match(/class="tick bad"/g)).toHaveLength(2);
    expect(said).toMatch(
      /What was late, and why .*call\.queued to https:\/\/crm\.example\/hooks\/calls arrived after 20 s : delivered after 2 attempts/,
    );
    expect(said).toContain("call.calling seen within 35 s : that long the call was not polled");
    expect(said).toContain("The newest failure: answered 503");
    expect(said).toMatch(/call\.failure .*(?:given up after|canceled)/);
  });

  test("of a call without trouble says that nothing was late", async () => {
    const dashboard = await openDashboard();
    const { view } = await dashboard.world.watch("OUT-1", { url });
    for (const job of (await dashboard.world.see("OUT-1", "success")).jobs) await dashboard.world.record(job);
    const { get } = await signIn(dashboard);
    const said = textOf((await get(`/dashboard/watches/${view.watch.id}`)).text);
    expect(said).toContain("Nothing: each change was seen within 10 s, and each webhook arrived within 5 s of it.");
  });
});

test("the tail has the newest events first, by type, source and status, operational ones too", async () => {
  const { get, world, watchId } = await eventfulDashboard();
  await world.watch("OUT-2", { sourceName: "sandbox" });
  await world.see("OUT-2", "success");
  const types = async (query: string) =>
    [...(await get(`/dashboard/events${query}`)).text.matchAll(/events\/evt_[^"]+">([^<]+)</g)].map(([, type]) => type);
  expect(await types("")).toEqual(["call.success", "endpoint.disabled", "call.failure", "call.calling", "call.queued"]);
  expect(await types("?type=endpoint.disabled")).toEqual(["endpoint.disabled"]);
  expect(await types("?type=terminal")).toEqual(["call.success", "call.failure"]);
  expect(await types("?source=sandbox")).toEqual(["call.success"]);
  expect(await types("?status=Calling&type=call.*")).toEqual(["call.calling"]);
  expect(textOf((await get("/dashboard/events?status=none")).text)).toContain("No event matches.");
  expect((await get("/dashboard/events?type=odd")).status).toBe(422);
  const { text } = await get("/dashboard/events?type=call.failure");
  expect(textOf(text)).toContain("no answer");
  expect(text).toContain(`/dashboard/watches/${watchId}`);
  // Each has a page with its facts and its deliveries.
  const path = /href="(\/dashboard\/events\/evt_[^"]+)"/.exec(text)?.[1] ?? "";
  const said = textOf((await get(path)).text);
  for (const fact of [path.slice(path.lastIndexOf("/") + 1), "failed", `"reason": "no answer"`]) expect(said).toContain(fact);
  expect((await get("/dashboard/events/evt_unknown")).status).toBe(404);
});
