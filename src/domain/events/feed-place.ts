/** Place in the feed: the order of the transaction that wrote an event (0 with SQLite), then the event's position. */
export type FeedPlace = readonly [order: number, position: number];

/** A cursor of the feed, decoded. */
export type FeedCursor = { readonly epoch: string; readonly place: FeedPlace };

/** Value of `after` that means the end of the feed at the time of the request. */
export const latestCursor = "latest";

/** The place before every event. */
export const feedBegin: FeedPlace = [0, 0];

/** Facts about the epoch of a cursor and about the account's feed. */
export type CursorFacts = {
  readonly isEpochKnown: boolean;
  /** First place of the epoch after the cursor's; `null` if the cursor's is the current one. */
  readonly nextEpochAt: FeedPlace | null;
  /** Newest event of the account that retention deleted; `feedBegin` if there is none. */
  readonly deletedTo: FeedPlace;
};

/** Returns a negative number if `a` is before `b`, 0 if both are the same place, and a positive number otherwise. */
export function comparePlaces(a: FeedPlace, b: FeedPlace): number {
  return a[0] - b[0] || a[1] - b[1];
}

export function laterPlace(a: FeedPlace, b: FeedPlace): FeedPlace {
  return comparePlaces(a, b) < 0 ? b : a;
}

/**
 * Whether a reader that continues after the cursor misses no event. It would miss some if the database was restored to a
 * state before the cursor, because new events then take places that the reader has passed; if the cursor is of another
 * database; or if retention deleted an event behind the cursor.
 */
export function isCursorGood({ place }: FeedCursor, { isEpochKnown, nextEpochAt, deletedTo }: CursorFacts): boolean {
  if (!isEpochKnown || comparePlaces(place, deletedTo) < 0) return false;
  return nextEpochAt === null || comparePlaces(place, nextEpochAt) < 0;
}
