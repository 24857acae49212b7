/** Kind of a change, sent so that other instances sweep immediately. Their next regular sweep makes up for a lost signal. */
export type InstanceSignal = "events" | "deliveries" | "calls" | "watches" | "sources" | "rates" | "instances";

/** Signals the other instances after a commit. Does nothing while this instance is alone. */
export interface PeerNotifier {
  signal(what: InstanceSignal): void;
}
