import { onTestFinished, expect, test } from "vitest";
import { TestPostgres } from "../harness/postgres/postgres-database.ts";
import type { Client } from "../harness/service/client.ts";
import { apiKey } from "../harness/service/environment.ts";
import { startService } from "../harness/service/service.ts";

const form = { "content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "same-origin", authorization: "" };

/** A browser with the cookie that a form began. */
async function begin({ send }: Client, path: string, fields: Readonly<Record<string, string>>) {
  const begun = await send("POST", path, new URLSearchParams(fields).toString(), form);
  const cookie = String(begun.headers["set-cookie"]).split(";", 1)[0] ?? "";
  const home = String(begun.headers["location"]);
  const page = await send("GET", home, undefined, { cookie, authorization: "" });
  const token = /name="token" value="([^"]+)"/.exec(page.text)?.[1] ?? "";
  return { cookie, home, below: home.replace(/\/$/, ""), token };
}

test("signing out ends the session, its streams and every copy of its cookie on the other instance too", { timeout: 60_000 }, async () => {
  const postgres = await TestPostgres.create();
  onTestFinished(() => postgres.dispose());
  const first = await startService({ database: { url: postgres.url } });
  const second = await startService({ database: { url: postgres.url } });
  const { body } = await first.client.post("/v1/portal-links", { can: "look" });
  const link = new URL(String(body["url"]));
  const sessions = [
    await begin(first.client, "/dashboard/sign-in", { api_key: apiKey }),
    await begin(first.client, link.pathname, { link_token: link.searchParams.get("token") ?? "" }),
  ];
  for (const { cookie, home, below, token } of sessions) {
    const streams = await Promise.all(
      [first, second].map(({ url }) => fetch(`${url}${below}/live`, { headers: { cookie }, signal: AbortSignal.timeout(8000) })),
    );
    expect(streams.map(({ status }) => status)).toEqual([200, 200]);
    const signedOut = await first.client.send("POST", `${below}/sign-out`, new URLSearchParams({ token }).toString(), { ...form, cookie });
    expect(signedOut.status).toBe(303);
    // Rejects if a stream is still open when its time is over.
    await Promise.all(streams.map((stream) => stream.text()));
    for (const { client } of [first, second]) {
      const answer = await client.send("GET", home, undefined, { cookie, authorization: "" });
      expect([home, answer.status]).toEqual([home, below === "/dashboard" ? 401 : 410]);
    }
  }
});
