import { decodeId } from "../../../domain/ids.ts";
import type { Watch } from "../../../domain/calls/watch.ts";
import type { WatchedCall } from "../../../ports/stores/call-store.ts";
import type { WatchDraft } from "../../../ports/stores/registration-store.ts";
import { leftActive, markOf } from "../../sql/call-marks.ts";
import { gatherWatchedCall, id, integer } from "../../sql/rows.ts";
import type { Transaction } from "../connection/transaction.ts";
import type { LockedCall, LockedCalls } from "./locked-calls.ts";
import type { Usage } from "./locked-endpoints.ts";

type OnCall = { readonly active: number; readonly hasWatch: boolean };

/** Facts that registrations need about the active watches of their accounts on their calls. The reads are bounded. */
export class WatchesOnCalls {
  /** Facts by call, then by account. */
  readonly #onCalls: Map<string, Map<string, OnCall>>;
  readonly #registered = new Map<string, Watch[]>();

  /** Counts at most as many watches of an account as its quota allows. */
  static async load(tx: Transaction, calls: LockedCalls, drafts: readonly WatchDraft[]): Promise<WatchesOnCalls> {
    const found = new Map<string, Map<string, OnCall>>();
    const known = calls.all.filter(({ isNew }) => !isNew);
    for (const call of known) found.set(call.callId, new Map());
    const pairs = new Map(
      drafts.flatMap((draft) => {
        const call = calls.find(draft);
        return call === undefined ? [] : [[`${call.callId} ${draft.accountId}`, { call, draft }] as const];
      }),
    );
    const limits = drafts.map(({ quotas }) => quotas.maxWatchesPerCall);
    const marks = new Set([...pairs.values()].map(({ call }) => call.mark));
    for (const mark of marks) {
      const under = [...pairs.values()].filter(({ call }) => call.mark === mark);
      const left = leftActive(mark, "$4");
      const rows = await tx.all(
        `select u.call_id, u.account_id, exists (select 1 from (${active("true", "1")}) any_watch) as has_watch,
           (select count(*) from (${active(left.condition, "$3")}) counted) as n
         from unnest($1::bigint[], $2::bigint[]) as u(call_id, account_id)`,
        under.map(({ call }) => decodeId(call.callId)),
        under.map(({ draft }) => decodeId(draft.accountId)),
        Math.max(1, ...limits),
        ...left.values,
      );
      for (const row of rows)
        found
          .get(id(row, "call", "call_id"))
          ?.set(id(row, "acc", "account_id"), { active: integer(row, "n"), hasWatch: row["has_watch"] === true });
    }
    return new WatchesOnCalls(found);
  }

  private constructor(onCalls: Map<string, Map<string, OnCall>>) {
    this.#onCalls = onCalls;
  }

  /** Number of active watches of an account on a call, at most its quota. Watches that a mark ends do not count. */
  activeOf(callId: string, accountId: string): number {
    return this.#onCalls.get(callId)?.get(accountId)?.active ?? 0;
  }

  /** Whether the account has an older watch on the call. Its hooks are sent the events of the oldest one. */
  hasOlder(callId: string, accountId: string): boolean {
    return this.#onCalls.get(callId)?.get(accountId)?.hasWatch === true;
  }

  /** Adds an active watch that this transaction creates, as it is after its first event. */
  add(watch: Watch): void {
    const { callId, accountId } = watch;
    const ofCall = this.#onCalls.get(callId) ?? new Map<string, OnCall>();
    this.#onCalls.set(callId, ofCall);
    ofCall.set(accountId, { active: (ofCall.get(accountId)?.active ?? 0) + 1, hasWatch: true });
    const registered = this.#registered.get(callId);
    if (registered === undefined) this.#registered.set(callId, [watch]);
    else registered.push(watch);
  }

  /** Returns the active watches of a call that this transaction creates, oldest first. */
  registeredOn(callId: string): readonly Watch[] {
    return this.#registered.get(callId) ?? [];
  }
}

/** SQL query: active watches of `u.account_id` on `u.call_id`, from the index that the order names. */
const active = (condition: string, limit: string) =>
  `select 1 from watches w where (w.call_id, w.account_id, w.id) >= (u.call_id, u.account_id, 0) and (w.call_id, w.account_id) <= (u.call_id, u.account_id)
       and w.status = 'active' and ${condition} order by w.call_id, w.account_id, w.id limit ${limit}`;

/** Counts the watches that running marks end, by account. Counts for accounts at their quota alone. */
export async function countEnding(
  tx: Transaction,
  drafts: readonly WatchDraft[],
  usage: ReadonlyMap<string, Usage>,
): Promise<ReadonlyMap<string, number>> {
  const full = new Set(
    drafts
      .filter(
        ({ accountId, quotas }) => quotas.maxActiveWatches > 0 && (usage.get(accountId)?.activeWatches ?? 0) >= quotas.maxActiveWatches,
      )
      .map(({ accountId }) => accountId),
  );
  const ending = new Map<string, number>();
  if (full.size === 0) return ending;
  for (const call of await tx.all("select id, mark from calls where mark is not null")) {
    const left = leftActive(markOf(call), "$3");
    const rows = await tx.all(
      `select w.account_id, count(*) as n from watches w
       where w.call_id = $1 and w.account_id = any($2) and w.status = 'active' and not (${left.condition}) group by w.account_id`,
      integer(call, "id"),
      [...full].map(decodeId),
      ...left.values,
    );
    for (const row of rows) {
      const accountId = id(row, "acc", "account_id");
      ending.set(accountId, (ending.get(accountId) ?? 0) + integer(row, "n"));
    }
  }
  return ending;
}

/** Returns a call after the registration of these watches, oldest first; `null` if it has no active watch. */
export function watchedCallWith(call: LockedCall, registered: readonly Watch[]): WatchedCall | null {
  const { watched, status, version } = call;
  const made = gatherWatchedCall(call, registered);
  if (watched === null || made === null) return watched === null ? made : { ...watched, status, version };
  return {
    ...made,
    accountId: watched.accountId,
    oldestWatchAtMs: Math.min(watched.oldestWatchAtMs, made.oldestWatchAtMs),
    youngestWatchAtMs: Math.max(watched.youngestWatchAtMs, made.youngestWatchAtMs),
    earliestDeadlineAtMs: Math.min(watched.earliestDeadlineAtMs, made.earliestDeadlineAtMs),
    needsFirstEvent: watched.needsFirstEvent || made.needsFirstEvent,
    isUnfinished: watched.isUnfinished,
  };
}
