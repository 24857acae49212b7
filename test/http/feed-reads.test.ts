import { expect, test } from "vitest";
import { FeedReads } from "../../src/http/operations/feed-reads.ts";
import type { FeedPage, FeedQuery } from "../../src/ports/stores/read-store.ts";

const query: FeedQuery = { accountId: "acc_1", limit: 50, cursor: "1", sinceMs: null, types: null, orTerminal: false, callSid: null };
const page: FeedPage = { data: [], cursors: [], nextCursor: "2" };

/** Reads that end when the test lets them. */
function heldReads() {
  const ends: ((answer: FeedPage | Error) => void)[] = [];
  const reads = new FeedReads({
    readFeed: () => new Promise((resolve, reject) => ends.push((answer) => (answer instanceof Error ? reject(answer) : resolve(answer)))),
  });
  return { reads, ends };
}

test("readers of the same page share one read and its text", async () => {
  const { reads, ends } = heldReads();
  const pages = [
    reads.read(query),
    reads.read({ ...query }),
    reads.read({ ...query, cursor: "0" }),
    reads.read({ ...query, accountId: "acc_2" }),
  ];
  expect(ends).toHaveLength(3);
  for (const end of ends) end({ ...page });
  const [first, second, third, fourth] = await Promise.all(pages);
  expect([second === first, third === first, fourth === first]).toEqual([true, false, false]);
  // The next one reads what has been committed since.
  void reads.read(query);
  expect(ends).toHaveLength(4);
});

test("a read that began before news is not shared, nor one of a request alone", () => {
  const { reads, ends } = heldReads();
  void reads.read(query);
  reads.noteNews();
  void reads.read(query);
  void reads.readAlone(query);
  void reads.read(query);
  expect(ends).toHaveLength(3);
});

test("the end of an older read leaves the newer one to be shared, and a failure fails all who share it", async () => {
  const { reads, ends } = heldReads();
  const older = reads.read(query);
  reads.noteNews();
  const newer = [reads.read(query), reads.read(query)];
  ends[0]?.(page);
  expect(await older).toBe(page);
  const last = reads.read(query);
  expect(ends).toHaveLength(2);
  ends[1]?.(new Error("away"));
  expect((await Promise.allSettled([...newer, last])).map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected"]);
});
