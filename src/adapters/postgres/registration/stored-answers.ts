import { storedAnswersIn } from "../../sql/registration/stored-answers.ts";

/** A delivery counts as leased only while the row of the leasing instance exists. Triggers count the bytes. */
export const { reads, writes, checkRoom } = storedAnswersIn({
  lease: "i.token",
  keyLock: "for key share",
  joins: "left join instances i on i.token = d.lease_owner and d.lease_token is not null",
  readStoredBytes: async (db, accountKey) => {
    const row = await db.get(
      `select sum(n)::bigint as n from (
         select n from counts where owner_id = ?1 and what = 'stored bytes'
         union all select n from count_changes where owner_id = ?1 and what = 'stored bytes') c`,
      accountKey,
    );
    return Number(row?.["n"] ?? 0);
  },
});
