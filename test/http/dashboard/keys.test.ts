import { describe, expect, test } from "vitest";
import { newId } from "../../../src/domain/ids.ts";
import type { ApiKeyDraft } from "../../../src/ports/stores/account-store.ts";
import { answered, day, hour, startMs } from "../../harness/store-drafts.ts";
import { cookieOf, hashApiKey, openDashboard } from "./dashboard-world.ts";
import type { OpenDashboard } from "./dashboard-world.ts";
import { textOf } from "./page-text.ts";

/** Signs in with a new key; what is left out of it is a key of the operator. */
async function signInWith({ world, ask, post }: OpenDashboard, given: Partial<ApiKeyDraft>) {
  const key = `rb_${given.name ?? "operator"}_0123456789abcdef`;
  const draft = {
    id: newId("key", startMs),
    accountId: null,
    name: "operator",
    scopes: ["read"],
    expiresAtMs: null,
    nowMs: startMs,
  } as const;
  await world.store.createKey({ by: null, ...draft, fingerprints: [hashApiKey(key)], ...given });
  const cookie = cookieOf(await post("/dashboard/sign-in", { api_key: key }));
  return { cookie, get: (path: string) => ask(path, { headers: { cookie } }) };
}

/** An account with a watch, a hook and a delivery that failed. */
async function fill({ world }: OpenDashboard) {
  const { view: watch } = await world.watch("OUT-1", { url: "https://crm.example/calls" });
  const { view: hook } = await world.hook("https://crm.example/hook");
  const { jobs } = await world.see("OUT-1", "queued");
  return [
    `/dashboard/watches/${watch.watch.id}`,
    `/dashboard/deliveries/${jobs[0]?.deliveryId ?? ""}`,
    `/dashboard/endpoints/${watch.watch.endpointId ?? ""}`,
    "/dashboard/hooks",
    `/dashboard/hooks/${hook.id}/delete`,
  ];
}

const operatorKey = {
  id: newId("key", startMs),
  accountId: null,
  name: "another",
  scopes: ["read"],
  expiresAtMs: null,
  fingerprints: ["another"],
} as const;

const actionsIn = (text: string) =>
  [...text.matchAll(/<form method="post" action="([^"]+)"/g)]
    .map(([, action]) => action)
    .filter((action) => action !== "/dashboard/sign-out");

describe("a session can do what the scopes of its key can", () => {
  test.each([
    [["read"], 0, 0],
    [["watch"], 0, 1],
    [["endpoints"], 6, 1],
  ] as const)("%j", async (scopes, forms, deletions) => {
    const dashboard = await openDashboard();
    const pages = await fill(dashboard);
    const { get } = await signInWith(dashboard, { accountId: dashboard.account.id, name: scopes[0], scopes });
    let [formCount, deletionCount] = [0, 0];
    for (const path of pages) {
      const answer = await get(path);
      const mayOpen = path.endsWith("/delete") ? scopes[0] === "endpoints" : true;
      expect([path, answer.status]).toEqual([path, mayOpen ? 200 : 403]);
      formCount += actionsIn(answer.text).length;
      deletionCount +=
        [...answer.text.matchAll(/\/delete"/g)].length - actionsIn(answer.text).filter((action) => action?.endsWith("/delete")).length;
    }
    expect([formCount, deletionCount > 0 ? 1 : 0]).toEqual([forms, deletions]);
  });

  test("and ends with the key", async () => {
    const dashboard = await openDashboard();
    const { get } = await signInWith(dashboard, { accountId: dashboard.account.id, name: "brief", expiresAtMs: startMs + hour });
    expect((await get("/dashboard")).status).toBe(200);
    await dashboard.clock.advance(hour);
    const answer = await get("/dashboard");
    expect([answer.status, answer.text.includes("expired")]).toEqual([401, true]);
  });
});

describe("a key of the operator", () => {
  test("looks at all accounts, sources and endpoints, and changes nothing", async () => {
    const dashboard = await openDashboard();
    await fill(dashboard);
    const other = await dashboard.world.account("<b>other</b>");
    const { get, cookie } = await signInWith(dashboard, {});
    const begun = await get("/dashboard");
    expect([begun.status, begun.headers["location"]]).toEqual([303, "/dashboard/operator"]);
    const { text } = await get("/dashboard/operator");
    expect(text).toContain("default");
    expect(text).toContain("&lt;b&gt;other&lt;/b&gt;");
    expect(text).toContain("sandbox");
    const account = await get(`/dashboard/operator/accounts/${dashboard.account.id}`);
    expect(account.text).toContain("https://crm.example/calls");
    expect((await get(`/dashboard/operator/accounts/${other.id}`)).text).not.toContain("crm.example");
    expect((await get("/dashboard/operator/accounts/acc_unknown")).status).toBe(404);
    // Queues, instances, accounts by use, and what was changed in every account and in none.
    expect(textOf(text)).toMatch(
      /Oldest due poll .* Oldest due webhook .* Expected delay .* the only one .* Accounts by use .* enabled 1 2 1 0 0 never/,
    );
    const by = { kind: "command_line", id: null, name: null, address: null, forwardedFor: null } as const;
    await dashboard.world.store.setAccountState({ accountId: other.id, isDisabled: true, by, nowMs: startMs });
    await dashboard.world.store.createKey({ ...operatorKey, by, nowMs: startMs });
    const audit = await get("/dashboard/operator/audit");
    expect(textOf(audit.text)).toMatch(new RegExp(`operator key\\.created .* ${other.id} account\\.disabled .* command line`));
    expect(textOf((await get(`/dashboard/operator/audit?account_id=${other.id}`)).text)).not.toContain("operator key.created");
    const accounts = await get("/dashboard/operator/accounts?by=name");
    expect(accounts.text.indexOf("&lt;b&gt;other")).toBeLessThan(accounts.text.indexOf(">default<"));
    for (const [list, line] of [
      ["accounts", `${other.id},<b>other</b>,2026-11-24T12:00:00.000Z,0,0,0,0,0,`],
      ["audit", `${other.id},aud_`],
      ["sources", "default,polyai-legacy,ok,"],
      ["instances", "instance,is_this,source,calls,polls_per_second,last_good_poll_at"],
    ] as const)
      expect([list, (await get(`/dashboard/operator/${list}.csv`)).text]).toEqual([list, expect.stringContaining(line)]);
    for (const page of [text, account.text, audit.text, accounts.text]) {
      expect(actionsIn(page)).toEqual([]);
      expect(page).not.toMatch(/whsec_|generated for/);
    }
    for (const path of ["/dashboard/watches", "/dashboard/hooks", "/dashboard/endpoints", "/dashboard/deliveries", "/dashboard/find?q=x"])
      expect([path, (await get(path)).status]).toEqual([path, 403]);
    const token = /name="token" value="([^"]+)"/.exec(text)?.[1] ?? "";
    const submit = (path: string) => dashboard.post(path, { token }, { cookie });
    expect((await submit("/dashboard/endpoints/ep_1/test")).status).toBe(403);
    expect((await submit("/dashboard/sign-out")).status).toBe(303);
  });

  test("sees of every account why a webhook has not arrived, without a link to its pages", async () => {
    const dashboard = await openDashboard();
    const { world, clock } = dashboard;
    await world.watch("OUT-1", { url: "https://crm.example/calls" });
    for (const job of (await world.see("OUT-1", "calling")).jobs) await world.record(job, answered(401));
    clock.setWall(world.nowMs);
    const { get } = await signInWith(dashboard, {});
    const { text } = await get(`/dashboard/operator/accounts/${dashboard.account.id}`);
    expect(textOf(text)).toMatch(
      /Webhooks that have not arrived .* call\.calling dlv_\S+ pending waits for attempt 2 .* Last attempt: answered 401 OUT-1 https:\/\/crm\.example\/calls 1 /,
    );
    expect(text).not.toMatch(/href="\/dashboard\/(?:deliveries|watches|endpoints)/);
  });

  test("alone sees the pages of the operator", async () => {
    const dashboard = await openDashboard();
    const { get } = await signInWith(dashboard, { accountId: dashboard.account.id, name: "own", expiresAtMs: startMs + day });
    for (const path of ["", "/accounts", `/accounts/${dashboard.account.id}`, "/audit", "/audit.csv"].map(
      (rest) => `/dashboard/operator${rest}`,
    ))
      expect([path, (await get(path)).status]).toEqual([path, 404]);
  });
});
