/** A way in which a body may have been changed before it was verified. */
type Kind = "reserialised" | "charset";
/** A body that may be the one that was sent. `detail` says what was changed. */
export type Original = { readonly kind: Kind; readonly detail: string; readonly text: string };

type Undoing = { readonly detail: string; readonly apply: (body: string) => string | null };

/** Readings of the bytes under another charset than UTF-8, and reversals of bytes that were read so and written as UTF-8. */
const readings: readonly { readonly detail: string; readonly read: (body: Buffer, text: string) => string | null }[] = [
  { detail: "its bytes were decoded as latin1 (ISO 8859-1)", read: (_, text) => misread(text, latin1ByteOf) },
  { detail: "its bytes were decoded as cp1252 (Windows-1252)", read: (_, text) => misread(text, cp1252ByteOf) },
  { detail: "it was written as UTF-16", read: (body) => utf16(body) },
  { detail: "it was written as latin1 (ISO 8859-1)", read: (body, text) => (text.includes("\uFFFD") ? body.toString("latin1") : null) },
  {
    detail: "it was written as cp1252 (Windows-1252)",
    read: (body, text) => (text.includes("\uFFFD") ? new TextDecoder("windows-1252").decode(body) : null),
  },
];

const otherOrder = "it was parsed and written again with its keys in another order";

/**
 * Reversals of the changes that middleware makes to a body. The service sends JSON without white space, with its keys in the
 * order of `keyOrder`.
 */
const undoings: readonly Undoing[] = [
  { detail: "a line end was added", apply: (body) => body.replace(/\r?\n$/, "") },
  { detail: "white space or a byte order mark was added around it", apply: (body) => body.trim() },
  { detail: "it was parsed and written again (white space or escapes differ)", apply: rewritten },
  { detail: otherOrder, apply: reordered },
  { detail: "it was parsed and written again, with empty objects as lists (PHP: decode without associative arrays)", apply: withObjects },
  { detail: "it was encoded as a JSON string", apply: unquoted },
  { detail: "it is a form that was parsed and written again", apply: rewrittenForm },
];

const normalForms = ["NFC", "NFD"] as const;

/** Yields what the body may have been before a known change, the simple changes first. */
export function* originalsOf(body: Buffer): Generator<Original> {
  const received = body.toString("utf8");
  const texts: { readonly detail: string | null; readonly text: string }[] = [{ detail: null, text: received }];
  for (const { detail, read } of readings) {
    const text = read(body, received);
    if (text !== null && text !== received) texts.push({ detail, text });
  }
  for (const { detail, text } of texts) {
    if (detail !== null) yield { kind: "charset", detail, text };
    for (const undoing of undoings) {
      const original = undoing.apply(text);
      if (original === null || original === text) continue;
      yield { kind: detail === null ? "reserialised" : "charset", detail: detail ?? undoing.detail, text: original };
    }
  }
  for (const text of reorderings(received)) yield { kind: "reserialised", detail: otherOrder, text };
  for (const form of normalForms)
    for (const text of [received, rewritten(received) ?? received])
      yield { kind: "charset", detail: `its text was normalised (it is not in ${form} any more)`, text: text.normalize(form) };
}

/** Whether the body shows signs of a wrong charset: bytes that are not UTF-8, or characters that stand for lost ones. */
export function hasLostCharacters(body: Buffer): boolean {
  return body.toString("utf8").includes("\uFFFD");
}

/** Whether some of its characters differ between charsets, or may stand for one that was lost. */
export function hasForeignCharacters(body: Buffer): boolean {
  return /[^\p{ASCII}]|\?|\\u[0-9a-f]{4}/iu.test(body.toString("utf8"));
}

/** Takes each character for the byte that it was read from; `null` if the bytes are not UTF-8. */
function misread(text: string, byteOf: (character: string) => number | null): string | null {
  const bytes = Array.from(text, byteOf);
  if (bytes.includes(null)) return null;
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(bytes as number[]));
  } catch {
    return null;
  }
}

function latin1ByteOf(character: string): number | null {
  const code = character.codePointAt(0) ?? 0;
  return code < 256 ? code : null;
}

const cp1252Bytes = new Map(Array.from({ length: 256 }, (_, byte) => [new TextDecoder("windows-1252").decode(Uint8Array.of(byte)), byte]));

function cp1252ByteOf(character: string): number | null {
  return cp1252Bytes.get(character) ?? null;
}

/** Reads UTF-16 with or without a byte order mark. Every second byte of ASCII is 0 there. */
function utf16(body: Buffer): string | null {
  if (body.length < 2 || body.length % 2 !== 0) return null;
  const isBigEndian = body[0] === 0 || (body[0] === 0xfe && body[1] === 0xff);
  return new TextDecoder(isBigEndian ? "utf-16be" : "utf-16le").decode(body);
}

/** Keys of the service in its order; those of operational events have an order of their own. */
const keyOrder = [
  "id",
  "type",
  "timestamp",
  "data",
  "watch_id",
  "call_sid",
  "source",
  "status",
  "previous_status",
  "reason",
  "terminal",
  "sequence",
  "observed_at",
  "observed_after",
  "metadata",
  "details",
];

const operationalKeyOrder = [
  "id",
  "type",
  "timestamp",
  "data",
  "endpoint_id",
  "delivery_id",
  "hook_ids",
  "watch_id",
  "call_sid",
  "placing_id",
  "key_id",
  "source",
  "state",
  "reason",
  "metadata",
  "idempotency_key",
  "observed_at",
];
/** Number of orders of a client's own keys that are tried. */
const maxOrders = 5040;

function rewritten(body: string): string | null {
  const parsed = parse(body);
  return parsed === undefined ? null : JSON.stringify(parsed);
}

function reordered(body: string): string | null {
  const parsed = parse(body);
  return parsed === undefined ? null : JSON.stringify(inOrder(parsed, keepsOrder));
}

/** Yields the body with the keys of metadata and details in every order. Only their client knows it, and some writers sort keys. */
function* reorderings(body: string): Generator<string> {
  const parsed = parse(body);
  if (parsed === undefined) return;
  const known = new Set<string>();
  const ownKeys: string[] = [];
  JSON.stringify(parsed, (key, value: unknown) => {
    if (isNested(key) && isObject(value)) ownKeys.push(...Object.keys(value));
    if (/^(?:metadata|details)_/.test(key)) ownKeys.push(key);
    return value;
  });
  for (const key of ownKeys) known.add(key);
  if (ordersOf(known.size) > maxOrders) return;
  for (const order of permutationsOf([...known])) {
    const rank = new Map(order.map((key, index) => [key, index]));
    yield JSON.stringify(inOrder(parsed, (a, b) => (rank.get(a) ?? -1) - (rank.get(b) ?? -1)));
  }
}

function ordersOf(keys: number): number {
  return keys <= 1 ? 1 : keys * ordersOf(keys - 1);
}

function* permutationsOf(keys: readonly string[]): Generator<readonly string[]> {
  if (keys.length === 0) yield [];
  for (const [index, key] of keys.entries()) for (const rest of permutationsOf(keys.toSpliced(index, 1))) yield [key, ...rest];
}

/** `metadata` and `details` are objects, also if they are empty. */
function withObjects(body: string): string | null {
  const parsed = parse(body);
  if (parsed === undefined) return null;
  return JSON.stringify(parsed, (key, value: unknown) =>
    (key === "metadata" || key === "details") && Array.isArray(value) && value.length === 0 ? {} : value,
  );
}

function unquoted(body: string): string | null {
  const parsed = parse(body);
  return typeof parsed === "string" ? parsed : null;
}

function rewrittenForm(body: string): string | null {
  return /^[^{["]*=/.test(body) ? new URLSearchParams(body).toString() : null;
}

type KeyOrder = (a: string, b: string) => number;
const keepsOrder: KeyOrder = () => 0;

/** Sorts known keys in the order of the service, and those of a client, which are in metadata and details or begin so, by `own`. */
function inOrder(value: unknown, own: KeyOrder): unknown {
  if (!isObject(value)) return value;
  const order = "placing_id" in value ? operationalKeyOrder : keyOrder;
  const rankOf = (key: string) => (order.includes(key) ? order.indexOf(key) : order.length + (key.startsWith("details_") ? 1 : 0));
  const entries = Object.entries(value).toSorted(([a], [b]) => rankOf(a) - rankOf(b) || own(a, b));
  return Object.fromEntries(entries.map(([key, child]) => [key, isNested(key) ? sorted(child, own) : inOrder(child, own)]));
}

function sorted(value: unknown, own: KeyOrder): unknown {
  return isObject(value) ? Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => own(a, b))) : value;
}

function isNested(key: string): boolean {
  return key === "metadata" || key === "details";
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function parse(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}
