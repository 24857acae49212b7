import { expect, test } from "vitest";
import { accountOnShow, arrivedSid } from "./account-on-show.ts";
import type { Visitor } from "./visitor.ts";

const shownOnce = (visitor: Visitor) => visitor.evaluate<string>("document.querySelector('.secret').innerText");

test("a call is placed once by two clicks, and one that may ring is settled", async () => {
  const account = await accountOnShow();
  const { client, placing } = account;
  const before = placing.triggers();
  const visitor = await account.signIn();
  await visitor.press("link", "Calls");
  await visitor.fill("Call, as the upstream takes it (JSON)", '{ "to_number": 1 }');
  expect(await visitor.press("button", "Place the call")).toContain("/call/to_number");
  expect(visitor.faults.splice(0)).toEqual(["422 POST /dashboard/calls"]);
  // What was typed is still there.
  expect(await visitor.evaluate("document.querySelector('#call').value")).toBe('{ "to_number": 1 }');
  await visitor.fill("Call, as the upstream takes it (JSON)", '{ "to_number": "+441234567890" }');
  await visitor.fill("Metadata, one pair a line: lead_id=00Q5g000", "lead_id=7");
  await Promise.all([
    visitor.page.waitForNavigation(),
    visitor.evaluate(`(() => { const form = document.querySelector('#call').form; form.submit(); form.submit(); })()`),
  ]);
  expect(await visitor.text()).toContain("The call was placed and is watched.");
  expect(placing.triggers()).toBe(before + 1);
  expect((await client.list("/v1/placings"))[0]).toMatchObject({ state: "placed", metadata: { lead_id: "7" } });

  placing.lose(true);
  await visitor.open("/dashboard/calls");
  await visitor.fill("Call, as the upstream takes it (JSON)", '{ "to_number": "+441234567891" }');
  expect(await visitor.press("button", "Place the call")).toContain("so it may ring");
  const unknown = await client.list<{ id: string }>("/v1/placings?state=unknown");
  expect(unknown).toHaveLength(2);
  const [newest, oldest] = unknown;
  expect(await visitor.press("button", `Nothing rang for ${newest?.id ?? ""}`)).toContain("Noted that nothing rang.");
  await visitor.fill("SID of the call", arrivedSid);
  expect(await visitor.press("button", "It has this SID")).toContain("The call has its SID and is watched.");
  expect(await client.list("/v1/placings?state=resolved")).toMatchObject([
    { id: newest?.id, call_sid: null },
    { id: oldest?.id, call_sid: arrivedSid },
  ]);
  expect(await visitor.text()).not.toContain("Calls that may ring");
  expect(visitor.faults).toEqual([]);
});

test("the settings of an endpoint are previewed and changed, its secret is rotated, and it is disabled", async () => {
  const account = await accountOnShow();
  const visitor = await account.signIn();
  const { endpointId } = account.givenUp;
  const read = () => account.read(`/v1/endpoints/${endpointId}`);
  await visitor.open(`/dashboard/endpoints/${endpointId}`);
  await visitor.press("link", "Change settings");
  await visitor.page.select("#format", "template");
  await visitor.fill("Body", '{"was":"{{data.no_such}}"}');
  expect(await visitor.press("button", "Save")).toContain("/request/body/was: has the placeholder {{data.no_such}}");
  expect(visitor.faults.splice(0)).toEqual([`422 POST /dashboard/endpoints/${endpointId}/edit`]);
  await visitor.fill("Body", '{"was":"{{data.status}}"}');
  expect(await visitor.press("button", "Preview what would be sent")).toMatch(/Not saved\..*POST.*application\/json.*\{"was":"[a-z ]+"\}/s);
  expect(await read()).toMatchObject({ format: "standard", headers: ["x-'&`"] });
  await visitor.fill("Most webhooks in flight, 1 to 1000", "3");
  await visitor.fill("Headers, one a line: x-api-key: s3cret", "x-api-key: s3cret\nx-other: a: b");
  expect(await visitor.press("button", "Save")).toContain("The settings were saved.");
  expect(await read()).toMatchObject({
    format: "template",
    request: { method: "POST", content_type: "application/json", body: { was: "{{data.status}}" } },
    headers: ["x-api-key", "x-other"],
    max_in_flight: 3,
  });
  await visitor.press("link", "Rotate the signing secret");
  expect(await visitor.press("button", "Rotate the secret")).toContain("it is shown only here");
  const secret = await shownOnce(visitor);
  expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]+=*$/);
  // The page again shows the same secret and does not rotate once more.
  await visitor.page.reload();
  expect(await shownOnce(visitor)).toBe(secret);
  expect(await account.client.list("/v1/audit?action=endpoint.secret_rotated")).toHaveLength(1);
  await visitor.open(`/dashboard/endpoints/${endpointId}`);
  expect(await visitor.page.content()).not.toMatch(/whsec_|s3cret/);
  await visitor.page.click("summary");
  expect(await visitor.press("button", "Disable the endpoint")).toContain("Disabled: nothing is sent.");
  expect(await read()).toMatchObject({ state: "disabled" });
  expect(visitor.faults).toEqual([]);
});

test("a watch is changed, and the account is given a signing secret", async () => {
  const account = await accountOnShow();
  const visitor = await account.signIn();
  await visitor.open(`/dashboard/watches/${account.givenUp.id}`);
  await visitor.press("link", "Change this watch");
  await visitor.fill("Metadata, one pair a line: lead_id=00Q5g000", "team=north\nlead_id=8");
  expect(await visitor.press("button", "Save")).toContain("The watch was changed");
  expect(await account.read(`/v1/watches/${account.givenUp.id}`)).toMatchObject({ metadata: { team: "north", lead_id: "8" } });
  await visitor.press("link", "Overview");
  await visitor.press("link", "Set the signing secret of new endpoints");
  expect(await visitor.press("button", "Set the signing secret")).toContain("it is shown only here");
  const secret = await shownOnce(visitor);
  expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]+=*$/);
  await visitor.page.reload();
  expect(await shownOnce(visitor)).toBe(secret);
  expect(await account.client.list("/v1/audit?action=account.secret_set")).toHaveLength(1);
  expect(visitor.faults).toEqual([]);
});

test("a hook with a condition is subscribed, and all failing endpoints are recovered", async () => {
  const account = await accountOnShow();
  const visitor = await account.signIn();
  await visitor.press("link", "Hooks");
  await visitor.press("link", "Subscribe a hook");
  await visitor.fill("URL", "http://127.0.0.1:9/new");
  await visitor.page.click("#events_terminal");
  await visitor.fill("Conditions that must all hold, one a line", "status equals failure");
  expect(await visitor.press("button", "Subscribe the hook")).toContain('"status equals failure" is not a condition');
  expect(visitor.faults.splice(0)).toEqual(["422 POST /dashboard/hooks"]);
  await visitor.fill("Conditions that must all hold, one a line", "status is failure\nmetadata.team is one of north, south");
  await visitor.press("button", "Subscribe the hook");
  expect(await shownOnce(visitor)).toMatch(/^whsec_/);
  expect((await account.client.list("/v1/hooks"))[0]).toMatchObject({
    events: ["terminal"],
    where: { status: "failure", "metadata.team": { in: ["north", "south"] } },
  });
  account.repair();
  await visitor.press("link", "Endpoints");
  expect(await visitor.press("button", "Recover all failing endpoints")).toMatch(/Recovered\s*1\s.*1 pending again, 0 due now/s);
  await expect.poll(() => account.read(`/v1/deliveries/${account.givenUp.deliveryId}`)).toMatchObject({ status: "delivered" });
  expect(visitor.faults).toEqual([]);
});

test("keys and portal links are made, shown once and ended, and the audit says who did it", async () => {
  const account = await accountOnShow();
  const visitor = await account.signIn();
  await visitor.press("link", "Keys");
  await visitor.fill("Name of the key", "reporting");
  await visitor.press("button", "Create the key");
  const key = await shownOnce(visitor);
  expect(await account.client.get("/v1/me", { authorization: `Bearer ${key}` })).toMatchObject({
    status: 200,
    body: { key: { name: "reporting", scopes: ["read"] } },
  });
  await visitor.press("link", "All keys");
  expect(await visitor.page.content()).not.toContain(key);
  await visitor.page.click(`summary[aria-label="Revoke the key reporting"]`);
  expect(await visitor.press("button", "Revoke this key")).toContain("The key was revoked.");

  await visitor.press("link", "Portal links");
  await visitor.page.select("#can", "operate");
  await visitor.press("button", "Create the link");
  const address = await shownOnce(visitor);
  const [link] = await account.client.list<{ id: string; can: string }>("/v1/portal-links");
  expect(link).toMatchObject({ can: "operate" });
  expect(address).toContain(`/portal/${link?.id ?? ""}/open?token=`);
  await visitor.press("link", "All portal links");
  expect(await visitor.press("button", `End the link ${link?.id ?? ""}`)).toContain("The link has ended");

  await visitor.press("link", "Audit");
  await visitor.page.select("#action", "portal_link.revoked");
  expect(await visitor.press("button", "Filter")).toMatch(
    new RegExp(`portal_link\\.revoked.*${link?.id ?? ""}.*dashboard environment`, "s"),
  );
  expect(visitor.faults).toEqual([]);
});

test("Tab reaches every control of the longest form, in order", async () => {
  const account = await accountOnShow();
  const visitor = await account.signIn();
  await visitor.open("/dashboard/hooks/new");
  const controls = await visitor.evaluate<number>(
    `[...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea")].map((control, index) => (control.dataset.order = index)).length`,
  );
  const reached: number[] = [];
  for (let n = 0; n < controls; n++) {
    await visitor.page.keyboard.press("Tab");
    reached.push(await visitor.evaluate<number>("Number(document.activeElement.dataset.order)"));
  }
  expect(reached).toEqual(Array.from({ length: controls }, (_, index) => index));
});
