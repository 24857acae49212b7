/** What others are told so that they look at once; whatever is lost here the next sweep finds. */
export type Announcement = "events" | "deliveries" | "calls" | "watches" | "sources" | "rates" | "instances";

/** A word to the other instances, sent after a commit. Does nothing while this one is alone. */
export interface Announcer {
  announce(what: Announcement): void;
}
