import { expect, test } from "vitest";
import { createTestApi } from "./test-api.ts";
import { account, apiKeyView, eventView, watchView } from "./views.ts";

type Found = Awaited<ReturnType<NonNullable<NonNullable<Parameters<typeof createTestApi>[0]>["authentication"]>["findByKey"] & {}>>;

const settle = () => new Promise((resolve) => setImmediate(resolve));
const valid: Found = { kind: "account", account, key: apiKeyView };

test.each(["/v1/watches/wch_1", "/v1/events"])("what ends while GET %s?wait= waits gets no answer of the account", async (path) => {
  const ends: readonly (readonly [Found, number])[] = [
    [valid, 200],
    [null, 401],
    [{ kind: "ended", endedAtMs: Date.UTC(2026, 0, 1) }, 401],
    [{ kind: "account", account: { ...account, disabledAtMs: 1 }, key: apiKeyView }, 403],
  ];
  for (const end of ["event", "timeout"] as const)
    for (const [after, status] of ends) {
      let found: Found = valid;
      let isOver = false;
      const { send } = createTestApi({
        authentication: { findByKey: async () => found },
        live: {
          changed: async () => {
            // After the read that finds nothing.
            await settle();
            found = after;
            isOver = true;
            return end;
          },
        },
        store: {
          getWatch: async () => watchView(),
          readFeed: async () => ({ data: isOver ? [eventView] : [], cursors: [], nextCursor: "1" }),
        },
      });
      const answer = await send("GET", `${path}?wait=1`);
      expect([end, answer.status, answer.text.includes("call_sid")]).toEqual([end, status, status === 200]);
    }
});
