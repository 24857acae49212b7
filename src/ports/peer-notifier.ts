/** What changed, so that other instances sweep immediately; a lost signal is repaired by their next regular sweep. */
export type InstanceSignal = "events" | "deliveries" | "calls" | "watches" | "sources" | "rates" | "instances";

/** Signals the other instances after a commit. Does nothing while this instance is alone. */
export interface PeerNotifier {
  signal(what: InstanceSignal): void;
}
