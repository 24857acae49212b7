import { registerHooks } from "node:module";
import type { DatabaseSync, ServiceStore } from "./engine-adapter.ts";
import type { DiskOptions } from "./writer-host.ts";

/** A classic bug, planted on purpose: what the simulation must find. It lives here alone. */
export type Plant = {
  readonly name: string;
  readonly what: string;
  /** What is different about the disk of the n-th process. */
  readonly disk?: (processNumber: number) => Partial<DiskOptions>;
  readonly aroundStore?: (store: ServiceStore) => ServiceStore;
  /** Needs several instances: one that was evicted writes what it likes. */
  readonly isFenceless?: boolean;
  /** Replaced in the text of source files while they are loaded. */
  readonly patches?: readonly { readonly file: string; readonly from: string; readonly to: string }[];
};

const lateMs = 60;
let effects = 0;

/** Counts one effect of the plant in this thread. Returns true, so that the text of a patch can say it within a condition. */
export function plantTookEffect(): true {
  effects += 1;
  return true;
}

/** Calls `plantTookEffect` from the text of a patch. */
const effect = "globalThis.plantTookEffect()";

/** Returns how often the plant has changed what the service does, in all lives of this thread. */
export function effectsOfPlant(): number {
  return effects;
}

function lateCommit(requests: readonly { readonly name: string }[], ...late: readonly string[]): number | null {
  return requests.some(({ name }) => late.includes(name)) && plantTookEffect() ? lateMs : null;
}

/** Executes a statement that tampers with the database; an effect if it changes a row. */
function tamper(connection: DatabaseSync, sql: string): void {
  if (Number(connection.prepare(sql).run().changes) > 0) plantTookEffect();
}

export const plants: readonly Plant[] = [
  {
    name: "send-before-commit",
    what: "webhooks of a transition leave before its commit",
    disk: () => ({ commitsLate: (requests) => lateCommit(requests, "commitCall") }),
  },
  {
    name: "answer-before-fsync",
    what: "a registration is answered before its commit has reached the disk",
    disk: () => ({ commitsLate: (requests) => lateCommit(requests, "registerWatches", "registerHook") }),
  },
  {
    name: "retry-with-a-new-id",
    what: "every attempt after the first has a webhook-id of its own",
    aroundStore: (store) => ({
      ...store,
      claimDue: async (request) => {
        const claimed = await store.claimDue(request);
        const jobs = claimed.jobs.map((job) =>
          job.attemptNumber > 1 && plantTookEffect() ? { ...job, event: { ...job.event, id: `${job.event.id}${job.attemptNumber}` } } : job,
        );
        return { ...claimed, jobs };
      },
    }),
  },
  {
    name: "lease-without-its-token",
    what: "an instance that was evicted still records its attempts: the lease's token is not asked for",
    isFenceless: true,
    patches: [
      {
        file: "src/adapters/sqlite/attempts/record-attempt.ts",
        from: 'row["lease_token"] !== record.leaseToken',
        to: `(row["lease_token"] !== record.leaseToken && !${effect})`,
      },
    ],
  },
  {
    name: "order-lost-after-a-restart",
    what: "a start makes every pending delivery due, regardless of earlier ones in its lane",
    disk: (processNumber) => ({
      onOpened: (connection) => {
        if (processNumber === 1) return;
        tamper(
          connection,
          "update deliveries set due_at = next_attempt_at where status = 'pending' and due_at is not next_attempt_at and next_attempt_at is not null",
        );
        connection.exec(
          "update endpoints set next_due_at = (select min(due_at) from deliveries d where d.endpoint_id = endpoints.id and d.status = 'pending')",
        );
        connection.exec("update hosts set next_due_at = (select min(next_due_at) from endpoints e where e.host_id = hosts.id)");
      },
    }),
  },
  {
    name: "timer-dies-with-an-exception",
    what: "a loop whose round throws is not set up again",
    patches: [
      {
        file: "src/engine/runtime/loop.ts",
        from: "void this.tick().then(() => {",
        to: `void this.tick().then(() => { if (this.#failures > 0 && ${effect}) return;`,
      },
    ],
  },
  {
    name: "counter-not-put-back",
    what: "the count of active watches stays raised when a registration is rolled back",
    disk: () => ({
      afterGroup: (connection, requests, isCommitted) => {
        if (isCommitted || connection.isTransaction || !requests.some(({ name }) => name === "registerWatches")) return;
        tamper(connection, "update account_usage set active = active + 1");
      },
    }),
  },
  {
    name: "promise-never-settles",
    what: "an attempt whose record the store refused waits for good",
    patches: [
      {
        file: "src/engine/delivery/attempt-recorder.ts",
        from: "await sleep(this.#options.clock, retryMs, this.#stopping.signal);",
        to: `await new Promise(() => ${effect});`,
      },
    ],
  },
  {
    name: "pause-forgotten-at-a-restart",
    what: "a start forgets the pauses that receivers asked for",
    disk: (processNumber) => ({
      onOpened: (connection) => {
        if (processNumber === 1) return;
        tamper(connection, "update deliveries set due_at = 0 where status = 'pending' and due_at is not null");
        tamper(connection, "update endpoints set paused_until = null, next_due_at = 0 where paused_until is not null");
        tamper(connection, "update hosts set paused_until = null, next_due_at = 0, failing_due_at = 0 where paused_until is not null");
      },
    }),
  },
  {
    name: "purge-leaves-a-delivery",
    what: "a purge erases the watch and leaves its events with their deliveries",
    patches: [
      {
        file: "src/adapters/sqlite/registration/watches.ts",
        from: 'db.run("delete from watches where id = ?", watchKey);',
        to: `
        if (db.run("update events set watch_id = null, sequence = null where watch_id = ?", watchKey) > 0 && ${effect}) {
          db.run("update deliveries set watch_id = null, sequence = null, due_at = next_attempt_at where watch_id = ?", watchKey);
          db.run("update endpoints set next_due_at = 0 where id in (select endpoint_id from deliveries where status = 'pending')");
        }
        db.run("delete from watches where id = ?", watchKey);`,
      },
    ],
  },
  {
    name: "hook-sent-again",
    what: "a hook is sent a call's event again through another watch",
    patches: [
      {
        file: "src/domain/calls/transition.ts",
        from: "hook.accountId === watch.accountId && hook.notifiedTransition < input.transition && hookNames(hook.filter, event),",
        to: `hook.accountId === watch.accountId && hookNames(hook.filter, event) && (hook.notifiedTransition < input.transition || ${effect}),`,
      },
    ],
  },
  {
    name: "accepted-retry-forgotten",
    what: "a retry is answered 202, its mark is lost and its job is dropped",
    patches: [
      {
        file: "src/adapters/sqlite/deliveries/claims.ts",
        from: "markForManualRetry(db, deliveryKey, request.nowMs);",
        to: "",
      },
      {
        file: "src/engine/delivery/manual-delivery.ts",
        from: "void dispatcher.sendNow(run.result.job).finally(",
        to: `void Promise.resolve(${effect}).finally(`,
      },
    ],
  },
  {
    name: "brought-forward-at-every-2xx",
    what: "a delivery that fails ahead of its step is brought forward again by the next 2xx",
    patches: [
      {
        file: "src/domain/deliveries/delivery-decision.ts",
        from: 'scheduledAtMs: null, lastRecovery: null }, decision: "retry" };',
        to: `scheduledAtMs: null, lastRecovery: Number(!${effect}) }, decision: "retry" };`,
      },
    ],
  },
  {
    name: "trigger-sent-again-after-a-crash",
    what: "a start forgets the intents whose triggers were out, so that a repeat under the key places the call again",
    disk: (processNumber) => ({
      onOpened: (connection) => {
        if (processNumber > 1) tamper(connection, "delete from placings where state = 'sending'");
      },
    }),
  },
];

/** Has source files loaded with the bug in them. Throws while one is loaded where the text is not there any more. */
export function installPatches({ name, patches = [] }: Plant): void {
  if (patches.length === 0) return;
  Object.assign(globalThis, { plantTookEffect });
  registerHooks({
    load: (url, context, nextLoad) => {
      const loaded = nextLoad(url, context);
      const patch = patches.find(({ file }) => url.endsWith(`/${file}`));
      if (patch === undefined) return loaded;
      const text = String(loaded.source);
      if (!text.includes(patch.from)) throw new Error(`the plant ${name} finds nothing to patch in ${patch.file}`);
      return { ...loaded, source: text.replace(patch.from, patch.to) };
    },
  });
}
