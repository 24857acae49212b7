import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, test } from "vitest";
import { openSqliteStore } from "../../../src/adapters/sqlite/store.ts";
import { decodeId } from "../../../src/domain/ids.ts";
import { temporaryFolder } from "../../harness/service/service.ts";
import { day, startMs, StoreWorld, testPolicy } from "../../harness/store-drafts.ts";

test("the newest 100,000 rows of an account's audit are kept, in portions, and those of others as they are", async () => {
  const path = join(await temporaryFolder(), "ringback.db");
  const filled = new StoreWorld(await openSqliteStore({ path, policy: testPolicy }));
  const [account, other] = [await filled.account(), await filled.account("other")];
  await filled.store.close();
  const db = new DatabaseSync(path);
  const fill = (accountId: string, from: number, rows: number) => {
    db.prepare(
      `with recursive n (i) as (select 0 union all select i + 1 from n where i + 1 < ?3)
       insert into audit (id, account_id, at, action, target_kind, target_id, actor_kind, detail)
       select ?2 + i, ?1, ?4, 'hook.created', 'hook', i, 'key', '{}' from n`,
    ).run(decodeId(accountId), from, rows, startMs);
    db.prepare("insert into audit_counts values (?, ?)").run(decodeId(accountId), rows);
  };
  // Keys of today, so that none is too old.
  const first = decodeId(account.id) + 1000;
  fill(account.id, first, 100_045);
  fill(other.id, first + 200_000, 3);
  db.close();
  const store = await openSqliteStore({ path, policy: testPolicy });
  const clean = () => store.deleteExpired({ beforeMs: startMs - day, nowMs: startMs, limit: 20 });
  expect([(await clean()).more, (await clean()).more, (await clean()).more]).toEqual([true, true, false]);
  expect((await clean()).deleted).toBe(0);
  await store.close();
  const left = new DatabaseSync(path);
  const rows = left.prepare("select account_id, count(*) as n, min(id) as oldest from audit group by account_id order by n").all();
  left.close();
  expect(rows.map(({ account_id, n }) => [account_id, n])).toEqual([
    [decodeId(other.id), 3],
    [decodeId(account.id), 100_000],
  ]);
  expect(rows[1]?.["oldest"]).toBe(first + 45);
});
