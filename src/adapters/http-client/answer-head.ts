/** Values of headers by name in lower case. A header that was sent more than once has a list of values, in the order of arrival. */
export type AnswerHeaders = ReadonlyMap<string, string | readonly string[]>;

export type AnswerHead = { readonly statusCode: number; readonly headers: AnswerHeaders };

/**
 * Status line of an answer. `isStrict`: the line follows the grammar of RFC 9112 section 4. `persists`: connections of this
 * HTTP version stay open by default (section 9.3).
 */
export type StatusLine = { readonly statusCode: number; readonly persists: boolean; readonly isStrict: boolean };

/** End of the body of an answer (RFC 9112 section 6.3). */
export type Framing =
  | { readonly kind: "counted"; readonly bytes: number }
  | { readonly kind: "chunked" }
  | { readonly kind: "until_close" }
  | { readonly kind: "invalid"; readonly reason: string };

/**
 * Framing of an answer. `codings` lists the codings of the content, then those of the transfer (without chunked), in the
 * order of application.
 */
export type AnswerFraming = {
  readonly framing: Framing;
  readonly codings: readonly string[];
  readonly isStrict: boolean;
};

const strictStatusLine = /^HTTP\/1\.([01]) (\d{3}) [\t\x20-\x7e\x80-\xff]*$/;
// Any number of blanks of any kind separates the parts (RFC 9112 section 4). Servers behind a proxy that speaks HTTP/2 write 2.0.
const tolerableStatusLine = /^[\t\v\f\r ]*HTTP\/([01]\.\d|2(?:\.0)?)[\t\v\f\r ]+(\d{3})(?![^\t\v\f\r ])/i;
const strictField = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*$/;

/** Parses a line without its end, as Latin-1; `null` if it is not a status line of HTTP/1.x. */
export function parseStatusLine(line: string): StatusLine | null {
  const strict = strictStatusLine.exec(line);
  if (strict !== null) return { statusCode: Number(strict[2]), persists: strict[1] === "1", isStrict: true };
  const tolerable = tolerableStatusLine.exec(line);
  if (tolerable === null) return null;
  return { statusCode: Number(tolerable[2]), persists: tolerable[1] === "1.1", isStrict: false };
}

/** Returns whether the beginning of an answer can still become a status line. */
export function mayBecomeStatusLine(beginning: string): boolean {
  // A longer beginning is not examined, because examining its blanks again with every byte would be slow.
  return beginning.length > 64 || "HTTP/".startsWith(beginning.trimStart().slice(0, 5).toUpperCase());
}

/** Returns whether a line is a field as RFC 9110 section 5 and RFC 9112 section 5 write it. */
export function isFieldLine(line: string): boolean {
  return strictField.test(line);
}

/** Fields of one head. Each is read as tolerantly as RFC 9112 permits a client. */
export class HeaderFields {
  readonly #values = new Map<string, string | string[]>();
  #lastName: string | null = null;
  #isStrict = true;

  get values(): AnswerHeaders {
    return this.#values;
  }

  /** Whether every line followed the grammar of a field line. */
  get isStrict(): boolean {
    return this.#isStrict;
  }

  /** Adds a line without its end, as Latin-1. Ignores a line that is not a field. */
  add(line: string): void {
    if (isFieldLine(line)) {
      const colon = line.indexOf(":");
      this.#append(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
      return;
    }
    this.#isStrict = false;
    // A blank replaces each bare CR and NUL (RFC 9112 section 2.2, RFC 9110 section 5.5).
    const text = line.replace(/[\0\r]/g, " ");
    if (line.startsWith(" ") || line.startsWith("\t")) this.#fold(text.trim());
    else this.#addOdd(text);
  }

  #addOdd(line: string): void {
    const colon = line.indexOf(":");
    // Blanks before the colon are not part of the name (RFC 9112 section 5.1).
    const name = line.slice(0, Math.max(colon, 0)).trim().toLowerCase();
    if (name === "") this.#lastName = null;
    else this.#append(name, line.slice(colon + 1).trim());
  }

  /**
   * Appends a folded line to the value before it (RFC 9112 section 5.2). Ignores a folded line right after the status line
   * (section 2.2).
   */
  #fold(text: string): void {
    if (this.#lastName === null) return;
    const before = this.#values.get(this.#lastName);
    if (typeof before === "string") this.#values.set(this.#lastName, joined(before, text));
    else before?.push(joined(before.pop() ?? "", text));
  }

  #append(name: string, value: string): void {
    this.#lastName = name;
    const before = this.#values.get(name);
    if (before === undefined) this.#values.set(name, value);
    else if (typeof before === "string") this.#values.set(name, [before, value]);
    else before.push(value);
  }
}

/** Joins two texts without copying them, because an answer may fold a value thousands of times. */
function joined(before: string, text: string): string {
  if (before === "" || text === "") return before + text;
  return `${before} ${text}`;
}

/** Returns the first value of a header; `null` if there is none. */
export function headerOf(headers: AnswerHeaders, name: string): string | null {
  const value = headers.get(name);
  return (typeof value === "object" ? value[0] : value) ?? null;
}

/** Returns the members of a list header (RFC 9110 section 5.6.1) in lower case, without empty ones. */
export function listOf(headers: AnswerHeaders, name: string): readonly string[] {
  const value = headers.get(name);
  if (value === undefined) return [];
  const text = (typeof value === "string" ? value : value.join(",")).toLowerCase();
  if (text !== "" && !text.includes(",")) return [text];
  const members = text.split(",").map((member) => member.trim());
  return members.filter((member) => member !== "");
}

/** Decides how the body that follows a head ends, by the rules of RFC 9112 section 6.3 in their order. */
export function framingOf(head: AnswerHead): AnswerFraming {
  const { statusCode, headers } = head;
  if (!headers.has("transfer-encoding") && !headers.has("content-encoding")) return { ...lengthOf(head), codings: [] };
  const contentCodings = listOf(headers, "content-encoding");
  const transferCodings = listOf(headers, "transfer-encoding").filter((coding) => coding !== "identity");
  if (hasNoBody(statusCode) || transferCodings.length === 0)
    return { ...lengthOf(head), codings: contentCodings, ...(headers.has("transfer-encoding") ? { isStrict: false } : {}) };
  const codings = [...contentCodings, ...transferCodings.filter((coding) => coding !== "chunked")];
  if (transferCodings.at(-1) !== "chunked") return { framing: { kind: "until_close" }, codings, isStrict: true };
  // Transfer-Encoding overrides Content-Length (section 6.3), and a body is chunked only once (section 6.1).
  const isStrict = !headers.has("content-length") && transferCodings.indexOf("chunked") === transferCodings.length - 1;
  return { framing: { kind: "chunked" }, codings, isStrict };
}

function hasNoBody(statusCode: number): boolean {
  return statusCode === 204 || statusCode === 304;
}

/** Returns the framing without Transfer-Encoding. */
function lengthOf({ statusCode, headers }: AnswerHead): { readonly framing: Framing; readonly isStrict: boolean } {
  const value = headers.get("content-length");
  if (hasNoBody(statusCode)) return { framing: { kind: "counted", bytes: 0 }, isStrict: value === undefined || statusCode === 304 };
  if (value === undefined) return { framing: { kind: "until_close" }, isStrict: true };
  const lengths = listOf(headers, "content-length");
  const [length] = lengths;
  // "If a message is received without Transfer-Encoding and with an invalid Content-Length header field, […] the user agent
  // MUST close the connection to the server and discard the received response" (section 6.3).
  if (length === undefined || !lengths.every((other) => /^\d+$/.test(other)))
    return { framing: { kind: "invalid", reason: "its Content-Length is not a number" }, isStrict: false };
  if (lengths.some((other) => Number(other) !== Number(length)))
    return { framing: { kind: "invalid", reason: "its Content-Length values differ" }, isStrict: false };
  return { framing: { kind: "counted", bytes: Number(length) }, isStrict: value === length };
}
