/** The statuses that a word of an upstream can mean. `success` and `failure` end the call. */
export const mappedStatuses = ["queued", "calling", "success", "failure"] as const;
export type MappedStatus = (typeof mappedStatuses)[number];

/** Meaning of an upstream's words. The keys are in lower case. */
export type StatusMap = ReadonlyMap<string, MappedStatus>;
/** Words as a file or a kind lists them, in any case. */
export type StatusWords = Readonly<Record<string, MappedStatus>>;
/** Changes by the operator, by word in lower case. `null` takes a word away. */
export type StatusMapChanges = Readonly<Record<string, MappedStatus | null>>;

/** Longest word that is read. A longer one would not fit into a webhook. */
export const statusWordMaxLength = 128;
/** Number of words that one map can have. */
export const statusMapMaxWords = 2000;

/** Whether a word in lower case is one of ours. */
export function isMappedStatus(word: string): word is MappedStatus {
  return word === "queued" || word === "calling" || word === "success" || word === "failure";
}

/** Returns the map of these words after the operator's changes. */
export function statusMapOf(words: StatusWords, changes: StatusMapChanges = {}): StatusMap {
  const map = new Map(Object.entries(words).map(([word, status]) => [normalWord(word), status]));
  for (const [word, status] of Object.entries(changes))
    if (status === null) map.delete(word);
    else map.set(word, status);
  return map;
}

/** Returns a word as maps hold it: trimmed and in lower case. */
export function normalWord(word: string): string {
  return word.trim().toLowerCase();
}

export type ParsedMapEntry =
  | { readonly kind: "entry"; readonly word: string; readonly status: MappedStatus | null }
  | { readonly kind: "invalid"; readonly detail: string };

/**
 * Parses `word=status`, as `--map` and `POLYAI_STATUS_MAP` have it; `word=` takes the word away. `fixedWords` are the words
 * that cannot be mapped.
 */
export function parseMapEntry(text: string, fixedWords: readonly string[]): ParsedMapEntry {
  const separator = text.lastIndexOf("=");
  const word = normalWord(text.slice(0, Math.max(separator, 0)));
  const status = normalWord(text.slice(separator + 1));
  if (separator < 0 || word === "") return { kind: "invalid", detail: "must be <word>=<status>, or <word>= to take the word away" };
  if (word.length > statusWordMaxLength) return { kind: "invalid", detail: `has a word of more than ${statusWordMaxLength} characters` };
  if (fixedWords.includes(word)) return { kind: "invalid", detail: `maps ${word}, which always means itself` };
  if (status !== "" && !isMappedStatus(status))
    return { kind: "invalid", detail: `maps ${JSON.stringify(word)} to none of ${mappedStatuses.join(", ")}` };
  return { kind: "entry", word, status: status === "" ? null : status };
}

/** Returns the entries of an object that was parsed from `status_map`. Entries that are none are left out. */
export function statusMapChangesFrom(text: string | null): StatusMapChanges {
  const parsed: unknown = text === null ? {} : JSON.parse(text);
  const entries = Object.entries(parsed as Readonly<Record<string, unknown>>);
  return Object.fromEntries(
    entries.filter((entry): entry is [string, MappedStatus | null] => entry[1] === null || isMappedStatus(String(entry[1]))),
  );
}
