import type { RegisterWatchResult } from "../../ports/stores/registration-store.ts";
import type { ServiceStore } from "../../ports/stores/service-store.ts";

/** Returns the store with `onMarked` called after each commit that may have set a mark. */
export function withMarkSignal(store: ServiceStore, onMarked: () => void): ServiceStore {
  const signal = <Result>(result: Result): Result => {
    onMarked();
    return result;
  };
  const signalEnabled = (results: readonly RegisterWatchResult[]): readonly RegisterWatchResult[] =>
    results.some((result) => result.kind === "created" && result.enabledEndpoint) ? signal(results) : results;
  return {
    ...store,
    registerWatches: async (drafts) => signalEnabled(await store.registerWatches(drafts)),
    patchEndpoint: async (request) => {
      const view = await store.patchEndpoint(request);
      return request.patch.state === undefined ? view : signal(view);
    },
    removeWatch: async (request) => signal(await store.removeWatch(request)),
    removeHook: async (request) => signal(await store.removeHook(request)),
    recover: async (request) => signal(await store.recover(request)),
    registerHook: async (draft) => signal(await store.registerHook(draft)),
    recordAttempt: async (record) => {
      const recorded = await store.recordAttempt(record);
      return recorded.kind === "recorded" && recorded.endpointChange !== "none" ? signal(recorded) : recorded;
    },
    underKey: (claim) => {
      const operations = store.underKey(claim);
      return {
        ...operations,
        registerWatches: async (...args) => {
          const run = await operations.registerWatches(...args);
          if (run.kind === "ran") signalEnabled(run.result);
          return run;
        },
        registerHook: async (...args) => signal(await operations.registerHook(...args)),
        recover: async (...args) => signal(await operations.recover(...args)),
      };
    },
  };
}
