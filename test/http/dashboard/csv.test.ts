import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { cellOf } from "../../../src/http/dashboard/csv.ts";
import { commandLine as by } from "../../../src/domain/audit.ts";
import { openDashboard, signIn } from "./dashboard-world.ts";
import { linksOf } from "./page-text.ts";

const url = "https://crm.example/hooks/calls";

const sidsIn = (text: string) => [...text.matchAll(/,(OUT-\d+),/g)].map(([, sid]) => sid);

describe("a cell", () => {
  test.each([
    ["=1+1", "'=1+1"],
    ["@SUM(A1)", "'@SUM(A1)"],
    ["\tx", "'\tx"],
    ["\rx", '"\'\rx"'],
    ["+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"],
    ["-2+3+cmd", "'-2+3+cmd"],
    ["\nx", '"\'\nx"'],
    ["＝1+1", "'＝1+1"],
    ["＋1", "'＋1"],
    ["－1", "'－1"],
    ["＠SUM(A1)", "'＠SUM(A1)"],
    ["+1-2", "+1-2"],
    ["-", "'-"],
    ["+", "'+"],
    ["-5", "-5"],
    ["-0.5", "-0.5"],
    ["+44 20 7946 0018", "+44 20 7946 0018"],
    ["+1 (555) 010-0199", "+1 (555) 010-0199"],
    ["-44 20 7946 0018", "'-44 20 7946 0018"],
    ["plain", "plain"],
    ['with "quotes", and commas', '"with ""quotes"", and commas"'],
    ["two\nlines", '"two\nlines"'],
    ["", ""],
  ])("of %j is %j", (text, cell) => expect(cellOf(text)).toBe(cell));

  test.each([
    [null, ""],
    [undefined, ""],
    [-3, "-3"],
    [true, "true"],
    [{ lead_id: "1" }, '"{""lead_id"":""1""}"'],
  ])("of the value %j is %j", (value, cell) => expect(cellOf(value)).toBe(cell));

  test("never begins like a formula, and is read back", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[=@+\-\t\r\n＝＋－＠][ -~]{0,9}$/)), (text) => {
        const cell = cellOf(text);
        const read = cell.startsWith('"') ? cell.slice(1, -1).replaceAll('""', '"') : cell;
        expect(read.replace(/^'(?=[=@+\-\t\r\n＝＋－＠])/, "")).toBe(text.replace(/^'(?=[=@+\-\t\r\n＝＋－＠])/, ""));
        expect(read).not.toMatch(/^(?:[=@\t\r\n＝＋－＠]|[+-](?![\d]))/);
      }),
    );
  });
});

describe("every list", () => {
  test.each(["watches", "events", "deliveries", "endpoints", "hooks"])(
    "of %s is CSV at its address and .csv, and links there",
    async (name) => {
      const dashboard = await openDashboard();
      await dashboard.world.watch("OUT-1", { url });
      await dashboard.world.registerHook(url);
      await dashboard.world.see("OUT-1", "queued");
      const { get } = await signIn(dashboard);
      expect(linksOf((await get(`/dashboard/${name}`)).text)).toContain(`/dashboard/${name}.csv`);
      const { status, headers, text } = await get(`/dashboard/${name}.csv`);
      expect(status).toBe(200);
      expect(headers["content-type"]).toMatch(/^text\/csv; charset=utf-8/);
      expect(headers["content-disposition"]).toBe(`attachment; filename="${name}.csv"`);
      const [head, ...rows] = text.trimEnd().split("\r\n");
      expect(head).toMatch(/^id,/);
      expect(rows).toHaveLength(1);
      expect(rows[0]).toMatch(/^(?:wch|evt|dlv|ep|hk)_/);
    },
  );

  test("of events is the whole feed, with the filters of its page", async () => {
    const dashboard = await openDashboard();
    for (let n = 0; n < 205; n++) await dashboard.world.watch(`OUT-${n}`, { url });
    for (let n = 0; n < 205; n++) await dashboard.world.see(`OUT-${n}`, "queued");
    await dashboard.world.see("OUT-7", "success", "=HYPERLINK()");
    const { get } = await signIn(dashboard);
    const whole = (await get("/dashboard/events.csv")).text;
    expect(sidsIn(whole)).toEqual([...Array.from({ length: 205 }, (_, n) => `OUT-${n}`), "OUT-7"]);
    expect(whole).toContain(",success,queued,'=HYPERLINK(),true,2,");
    expect(sidsIn((await get("/dashboard/events.csv?type=terminal")).text)).toEqual(["OUT-7"]);
    expect(sidsIn((await get("/dashboard/events.csv?status=SUCCESS&source=default")).text)).toEqual(["OUT-7"]);
    expect(sidsIn((await get("/dashboard/events.csv?source=other")).text)).toEqual([]);
    expect((await get("/dashboard/events.csv?type=odd")).status).toBe(422);
  });

  test("is whole and filtered, in the order of its pages", async () => {
    const dashboard = await openDashboard();
    for (let n = 0; n < 450; n++) await dashboard.world.watch(`OUT-${n}`, { url, metadata: { formula: "=1+1" } });
    await dashboard.world.see("OUT-7", "success");
    const { get } = await signIn(dashboard);
    expect(sidsIn((await get("/dashboard/watches.csv")).text)).toHaveLength(450);
    expect(sidsIn((await get("/dashboard/watches.csv?status=completed")).text)).toEqual(["OUT-7"]);
    expect((await get("/dashboard/watches.csv?status=odd")).status).toBe(422);
  });

  test("ends with its session, also for a client that reads slowly", async () => {
    const dashboard = await openDashboard();
    for (let n = 0; n < 1000; n++) await dashboard.world.watch(`OUT-${n}`, { url });
    const { cookie } = await signIn(dashboard);
    const { body } = await dashboard.stream("/dashboard/watches.csv", { cookie });
    const reader = (body as ReadableStream<Uint8Array>).getReader();
    expect(new TextDecoder().decode((await reader.read()).value)).toMatch(/^id,/);
    await dashboard.world.store.revokeKey({ keyId: dashboard.keyId, accountId: null, by, nowMs: dashboard.clock.nowMs() });
    await dashboard.clock.advance(5000);
    const rest = async () => {
      for (;;) if ((await reader.read()).done) return;
    };
    await expect(rest()).rejects.toThrow("session has ended");
  });

  test.each(["watches", "deliveries", "endpoints", "hooks", "keys", "portal-links", "audit", "calls"])(
    "of %s refuses a cursor that is not its own with a page, not with a torn file",
    async (name) => {
      const { get } = await signIn(await openDashboard());
      const answer = await get(`/dashboard/${name}.csv?cursor=bm90LW91cnM`);
      expect([answer.status, String(answer.headers["content-type"])]).toEqual([422, "text/html; charset=UTF-8"]);
    },
  );

  test("needs a session", async () => {
    const { ask } = await openDashboard();
    expect((await ask("/dashboard/watches.csv")).status).not.toBe(200);
  });
});
