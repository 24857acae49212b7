/** What others are told so that they look at once; whatever is lost here the next sweep finds. */
export type InstanceSignal = "events" | "deliveries" | "calls" | "watches" | "sources" | "rates" | "instances";

/** A word to the other instances, sent after a commit. Does nothing while this one is alone. */
export interface PeerNotifier {
  signal(what: InstanceSignal): void;
}
