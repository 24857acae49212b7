import { onTestFinished } from "vitest";
import { createSecretBox } from "../../../src/adapters/sealing/secret-box.ts";
import { openSqliteStore } from "../../../src/adapters/sqlite/store.ts";
import { newId } from "../../../src/domain/ids.ts";
import { Authenticator } from "../../../src/engine/requests/authentication.ts";
import type { ServiceStore } from "../../../src/ports/stores/service-store.ts";
import { FakeClock } from "../../harness/fake-clock.ts";
import { StoreWorld, startMs, testPolicy } from "../../harness/store-drafts.ts";
import type { Answer } from "../../harness/service/client.ts";
import { createTestApi } from "../test-api.ts";

export const key = "rb_dashboard_key_0123456789";
export const origin = "http://localhost";

/** As keys stand in the store. */
export const hashApiKey = (apiKey: string) => `hash of ${apiKey}`;

/** The dashboard on a real store in memory and real authentication; `key` is one of the account `default`. */
export async function openDashboard({ store, ...parts }: Parameters<typeof createTestApi>[0] = {}) {
  const clock = new FakeClock(startMs);
  const secretBox = createSecretBox([Buffer.alloc(32, 7)]);
  const world = new StoreWorld(await openSqliteStore({ path: ":memory:", policy: testPolicy }));
  onTestFinished(() => world.store.close());
  const account = await world.account();
  const keyId = newId("key", startMs);
  await world.store.ensureKey({
    id: keyId,
    accountId: account.id,
    name: "test",
    fingerprints: [hashApiKey(key)],
    nowMs: startMs,
  });
  const authentication = new Authenticator({ store: world.store, hashApiKey, clock, onUsed: () => {} });
  const { request, stream, logged } = createTestApi({
    store: { ...currentOf(world), ...store },
    authentication: { findByKey: (given) => authentication.findByKey(given) },
    secretBox,
    clock,
    ...parts,
  });

  const ask = (path: string, init: RequestInit = {}) => request(`${origin}${path}`, init);
  /** A form as a browser sends it from a page of ours. */
  const post = (path: string, fields: Readonly<Record<string, string>>, headers: Readonly<Record<string, string>> = {}) =>
    ask(path, { method: "POST", body: new URLSearchParams(fields), headers: { "sec-fetch-site": "same-origin", ...headers } });

  return { clock, world, account, secretBox, ask, post, stream, logged, keyId };
}

/** Returns the operations of the store as they are when they are called, so that a test may replace one later. */
function currentOf(world: StoreWorld): ServiceStore {
  const names = Object.keys(world.store) as (keyof ServiceStore)[];
  const call =
    (name: keyof ServiceStore) =>
    (...args: never[]) =>
      (world.store[name] as (...args: never[]) => unknown)(...args);
  return Object.fromEntries(names.map((name) => [name, call(name)])) as unknown as ServiceStore;
}

export type OpenDashboard = Awaited<ReturnType<typeof openDashboard>>;

/** `name=value` of the session's cookie in an answer. */
export function cookieOf({ headers }: Answer): string {
  const [cookie = ""] = String(headers["set-cookie"] ?? "").split(";", 1);
  if (!/^(?:ringback_session|__Secure-ringback)=/.test(cookie)) throw new Error("no session was begun");
  return cookie;
}

/** Signed in as a browser: what it asks carries the cookie, and forms the token of the page they are on. */
export async function signIn({ ask, post }: Pick<OpenDashboard, "ask" | "post">) {
  const cookie = cookieOf(await post("/dashboard/sign-in", { api_key: key }));
  const get = (path: string) => ask(path, { headers: { cookie } });
  const tokenOn = async (path: string) => /name="token" value="([^"]+)"/.exec((await get(path)).text)?.[1] ?? "";
  const submit = async (path: string, fields: Readonly<Record<string, string>> = {}, headers: Readonly<Record<string, string>> = {}) =>
    post(path, { token: await tokenOn("/dashboard/hooks"), ...fields }, { cookie, ...headers });
  return { cookie, get, submit, tokenOn };
}
