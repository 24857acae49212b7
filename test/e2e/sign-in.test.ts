import { expect, test } from "vitest";
import { FakeClock } from "../harness/fake-clock.ts";
import { apiKey } from "../harness/service/environment.ts";
import { startService } from "../harness/service/service.ts";

const path = "/dashboard/sign-in";

test.each(["sqlite-memory", "postgres"] as const)("wrong keys of one address count for no other address (%s)", async (database) => {
  const service = await startService({ database, clock: new FakeClock(Date.now()) });
  const { origin } = new URL(service.url);
  const signIn = async (key: string, from: string) =>
    (
      await service.client.send("POST", path, new URLSearchParams({ api_key: key }).toString(), {
        authorization: "",
        origin,
        "sec-fetch-site": "same-origin",
        "content-type": "application/x-www-form-urlencoded",
        "x-forwarded-for": from,
      })
    ).status;
  const statuses = [];
  for (let n = 0; n < 12; n++) statuses.push(await signIn("rb_wrong", "203.0.113.1"));
  expect(statuses).toEqual([...Array.from({ length: 10 }, () => 401), 429, 429]);
  expect(await signIn("rb_wrong", "203.0.113.2")).toBe(401);
  expect(await signIn("rb_another", "203.0.113.1")).toBe(401);
  expect(await signIn(apiKey, "203.0.113.1")).toBe(303);
});
