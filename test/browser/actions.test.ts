import { expect, test } from "vitest";
import { accountOnShow, arrivedSid, givenUpSid } from "./account-on-show.ts";
import { complaintsOf } from "./page-inspection.ts";
import type { Visitor } from "./visitor.ts";

type Account = Awaited<ReturnType<typeof accountOnShow>>;

/** From the start page to the endpoint in trouble. */
async function atTroubledEndpoint(account: Account): Promise<Visitor> {
  const visitor = await account.signIn();
  const { url } = await account.read(`/v1/endpoints/${account.givenUp.endpointId}`);
  expect(await visitor.press("link", String(url))).toContain("1 in a row since");
  return visitor;
}

const stateOf = async ({ read, givenUp }: Account) => (await read(`/v1/endpoints/${givenUp.endpointId}`))["state"];
const lostDelivery = ({ read, givenUp }: Account) => read(`/v1/deliveries/${givenUp.deliveryId}`);

test("clicks lead from the start page to a watch, to its delivery, and to an event by its id", async () => {
  const account = await accountOnShow();
  const visitor = await account.signIn();
  const overview = await visitor.text();
  for (const text of [arrivedSid, givenUpSid, "failing"]) expect(overview).toContain(text);
  const watch = await visitor.press("link", givenUpSid);
  for (const text of ["call.other", "Reason: as given", "said as given", "answered 500"]) expect(watch).toContain(text);
  const delivery = await visitor.press("link", "details");
  expect(delivery).toMatch(/Exhausted after 1 attempt.*Attempt 1\s.*answered 500\s.*The answer began with:\s+as given/s);
  expect(visitor.path).toBe(`/dashboard/deliveries/${account.givenUp.deliveryId}`);
  expect(await visitor.press("link", "Endpoints")).toContain("the last attempt failed");
  expect(await visitor.press("link", "Hooks")).toContain(account.hookId);

  await visitor.press("link", "Overview");
  await visitor.fill("Call SID, webhook-id, any other id, or metadata", String(account.received[0]?.headers["webhook-id"]));
  expect(await visitor.press("button", "Find")).toContain("Reason: as given");
  expect(visitor.path).toBe(`/dashboard/watches/${account.givenUp.id}`);

  await visitor.press("link", "Watches");
  await visitor.page.select("#status", "completed");
  const completed = await visitor.press("button", "Filter");
  expect([completed.includes(arrivedSid), completed.includes(givenUpSid)]).toEqual([true, false]);
  expect(visitor.faults).toEqual([]);
});

test("a delivery is tried once more", async () => {
  const account = await accountOnShow();
  const visitor = await atTroubledEndpoint(account);
  await visitor.press("link", "call.other");
  account.repair();
  expect(await visitor.press("button", "Retry now")).toContain("One attempt is running now.");
  await expect.poll(() => lostDelivery(account)).toMatchObject({ status: "delivered", attempt_count: 2 });
  const [first, second] = account.received;
  expect([second?.headers["webhook-id"], second?.body]).toEqual([first?.headers["webhook-id"], first?.body]);
  await visitor.page.reload();
  expect(await visitor.text()).toContain("Delivered after 2 attempts.");
});

test("a test webhook says what became of it", async () => {
  const account = await accountOnShow();
  const visitor = await atTroubledEndpoint(account);
  expect(await visitor.press("button", "Send a test webhook")).toContain("The test webhook was sent but not delivered.");
  expect(await visitor.press("link", "endpoint.test")).toContain("answered 500");
  expect(account.received.map(({ body }) => body.includes('"endpoint.test"'))).toEqual([false, true]);
});

test("an endpoint is paused and enabled", async () => {
  const account = await accountOnShow();
  const visitor = await atTroubledEndpoint(account);
  expect(await visitor.press("button", "Pause")).toContain("Paused: nothing is sent until you enable the endpoint again.");
  expect(await stateOf(account)).toBe("paused");
  expect(await visitor.press("button", "Enable")).toContain("Enabled: pending deliveries are sent now, in order.");
  expect(await stateOf(account)).toBe("enabled");
});

test("what was given up since yesterday is recovered", async () => {
  const account = await accountOnShow();
  const visitor = await atTroubledEndpoint(account);
  account.repair();
  expect(await visitor.press("button", "Recover")).toContain("Requeued with a new retry schedule.");
  await expect.poll(() => lostDelivery(account)).toMatchObject({ status: "delivered" });
  expect(account.received).toHaveLength(2);
});

test("a sandbox call is placed, and a watch is registered", async () => {
  const account = await accountOnShow();
  const visitor = await account.signIn();
  await visitor.press("link", "Calls");
  await visitor.page.select("#scenario_new", "slow");
  expect(await visitor.press("button", "Place the sandbox call")).toMatch(/OUT-sandbox-slow-.*The call was placed and is watched\./s);
  expect(await account.client.list("/v1/placings")).toMatchObject([{ source: "sandbox", state: "placed" }, { state: "unknown" }]);
  await visitor.press("link", "Watches");
  await visitor.press("link", "Register a watch");
  await visitor.fill("SID of the call", "OUT arrived");
  await visitor.fill("Metadata, one pair a line: lead_id=00Q5g000", "lead_id=1\nteam=a=b");
  // Refused, it is shown again with the fault beside its field and with what was typed.
  await visitor.press("button", "Register the watch");
  expect(visitor.faults.splice(0)).toEqual(["422 POST /dashboard/watches"]);
  expect(await visitor.evaluate("document.querySelector('#call_sid_fault').innerText.length > 0")).toBe(true);
  expect(await complaintsOf(visitor)).toEqual([]);
  await visitor.fill("SID of the call", arrivedSid);
  expect(await visitor.press("button", "Register the watch")).toContain("The call is watched.");
  expect(await account.read(`/v1${visitor.path.replace("/dashboard", "").split("?")[0] ?? ""}`)).toMatchObject({
    call_sid: arrivedSid,
    callback_url: null,
    metadata: { lead_id: "1", team: "a=b" },
  });
  expect(visitor.faults).toEqual([]);
});

test("a watch is deleted, and erased when that is ticked", async () => {
  const account = await accountOnShow();
  const visitor = await account.signIn();
  await visitor.press("link", givenUpSid);
  await visitor.press("link", "Delete this watch");
  expect(await visitor.press("link", "Cancel")).toContain("Delete this watch");
  await visitor.press("link", "Delete this watch");
  expect(await visitor.press("button", "Delete the watch")).toContain("The watch was deleted");
  expect(await account.read(`/v1/watches/${account.givenUp.id}`)).toMatchObject({ status: "canceled" });
  await visitor.press("link", "Delete this watch");
  await visitor.page.click("#purge");
  expect(await visitor.press("button", "Delete the watch")).toContain("The watch was erased with its events.");
  expect((await account.client.get(`/v1/watches/${account.givenUp.id}`)).status).toBe(404);
});

test("a hook is removed", async () => {
  const account = await accountOnShow();
  const visitor = await account.signIn();
  await visitor.press("link", "Hooks");
  await visitor.press("link", `Remove the hook ${account.hookId}`);
  expect(await visitor.press("button", "Remove the hook")).toMatch(/The hook was removed\..*No hooks\./s);
  expect(await account.client.list("/v1/hooks")).toEqual([]);
});
