import { describe, expect, it } from "vitest";
import { AgeHistogram } from "../../src/domain/freshness/age-histogram.ts";
import { newId } from "../../src/domain/ids.ts";
import type { StatusAges } from "../../src/ports/stores/freshness-store.ts";
import { startMs } from "../harness/store-drafts.ts";
import type { StoreBackend } from "./store-backend.ts";
import { worlds } from "./store-backend.ts";

/** Calls that were seen for 20 s each and changed then. */
function agesOf(sourceName: string, status: string, changes: number): StatusAges {
  const histogram = new AgeHistogram();
  for (let change = 0; change < changes; change++) histogram.recordChange(20_000, 21_000, null);
  return { sourceName, status, ...histogram.toStored() };
}

export function freshnessSuite(backend: StoreBackend): void {
  describe("times in a status", () => {
    const open = worlds(backend);

    it("are kept as they were observed, by source and status", async () => {
      const { store } = await open();
      const observed = [agesOf("two", "queued", 3), agesOf("one", "calling", 5), agesOf("one", "Ünknown 😀", 1)];
      expect(await store.appendStatusAges(observed)).toEqual(observed);
      const kept = (await store.listStatusAges()).filter(({ sourceName }) => sourceName === "one" || sourceName === "two");
      expect(kept).toEqual([observed[1], observed[2], observed[0]]);
      expect(await store.appendStatusAges([])).toEqual([]);
    });

    it("add up, also where two instances write the first at the same time", async () => {
      const { store } = await open();
      const [one, two] = [agesOf("sums", "calling", 100), agesOf("sums", "queued", 7)];
      const answers = await Promise.all([store.appendStatusAges([one, two]), store.appendStatusAges([two, one])]);
      expect(answers.flat().filter(({ status, changes }) => status === "calling" && changes === 200)).toHaveLength(1);
      const kept = (await store.listStatusAges()).filter(({ sourceName }) => sourceName === "sums");
      expect(kept).toMatchObject([
        { status: "calling", changes: 200 },
        { status: "queued", changes: 14 },
      ]);
      const [calling] = kept;
      if (calling === undefined) throw new Error("there are two");
      const total = AgeHistogram.fromStored(calling).changed.reduce((sum, changed) => sum + changed, 0);
      expect(total).toBeGreaterThan(180);
      expect(total).toBeLessThanOrEqual(200);
    });

    it("are deleted with their source", async () => {
      const { store } = await open();
      const draft = {
        id: newId("src", startMs),
        name: "gone",
        accountId: null,
        kind: "polyai-legacy",
        baseUrl: "https://api.example",
      } as const;
      const rest = { sealedCredential: new Uint8Array([1]), agentId: null, environment: null, definition: null, statusMap: null };
      await store.setSource({ ...draft, ...rest, maxPollsPerSecond: 1, by: null, nowMs: startMs }, null);
      await store.appendStatusAges([agesOf("gone", "calling", 1), agesOf("stays", "calling", 1)]);
      expect(await store.removeSource({ name: "gone", force: false, by: null, nowMs: startMs })).toMatchObject({ kind: "removed" });
      const names = (await store.listStatusAges()).map(({ sourceName }) => sourceName);
      expect(names).toContain("stays");
      expect(names).not.toContain("gone");
    });
  });
}
