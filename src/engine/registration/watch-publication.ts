import type { CommitListener, EndpointListener } from "../../ports/commit-listener.ts";
import type { RegisterWatchResult, WatchDraft } from "../../ports/stores/registration-store.ts";
import type { Poller } from "../polling/poller.ts";
import type { RegistrableSource } from "../sources/registrable-source.ts";

export type WatchPublication = {
  readonly sources: ReadonlyMap<string, RegistrableSource>;
  readonly poller: Pick<Poller, "watch">;
  readonly listeners: readonly CommitListener[];
  readonly endpointListener: Pick<EndpointListener, "reopenEndpoint">;
};

/** Starts polling the call of a watch that was created and sends its first events. Called after the commit. */
export function publishCreation(
  { poller, sources, listeners, endpointListener }: WatchPublication,
  watch: WatchDraft,
  result: RegisterWatchResult,
): void {
  if (result.kind !== "created") return;
  if (result.call !== null) {
    if (result.call.status.status === null) sources.get(watch.sourceName)?.restart(watch.scope, watch.callSid);
    poller.watch(result.call);
  }
  if (result.view.endpoint !== null) endpointListener.reopenEndpoint(result.view.endpoint.id);
  for (const listener of listeners) listener.committed(result);
}
