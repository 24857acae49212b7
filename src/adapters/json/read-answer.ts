import { storedDetails } from "../../domain/calls/call-details.ts";
import type { CallDetail } from "../../domain/calls/call-details.ts";
import { normalWord } from "../../domain/sources/status-map.ts";
import type { StatusMap } from "../../domain/sources/status-map.ts";
import type { UpstreamReading } from "../../ports/upstream-kind.ts";
import { parseJson, withoutMark } from "../upstream/parse-json.ts";
import { storable } from "../upstream/storable.ts";
import { valueAt } from "./pointer.ts";
import type { Pointer } from "./pointer.ts";

/** Where an answer has what is read of it. */
export type AnswerPointers = {
  readonly status: readonly { readonly at: Pointer; readonly map: StatusMap }[];
  readonly reason: readonly Pointer[];
  readonly details: readonly (readonly [name: string, at: Pointer])[];
};

/** Found in every text with a number that is not written as a whole one. */
const fractionOrExponent = /\d[.e]/i;
const numberSyntax = /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]?\d+))?$/i;

/**
 * Reads an answer. The status is the first word that its map has; where there is none, the first that leads to a value. A word
 * that ends the call and lies behind the first pointer is tentative. A blank text counts as absent. `null` if there is no
 * status.
 */
export function readAnswer(body: string, { status, reason, details }: AnswerPointers): UpstreamReading | null {
  const answer = new Answer(body);
  let first: { readonly word: string; readonly map: StatusMap } | null = null;
  for (const [index, { at, map }] of status.entries()) {
    const word = answer.textAt(at);
    if (word === null) continue;
    const mapped = map.get(normalWord(storable(word)));
    if (mapped !== undefined) {
      const isTentative = index > 0 && (mapped === "success" || mapped === "failure");
      return answer.reading({ word, map, isTentative }, reason, details);
    }
    first ??= { word, map };
  }
  return first === null ? null : answer.reading({ ...first, isTentative: false }, reason, details);
}

/** Returns the string or number at a pointer into an answer, as it is written; `null` if there is none. */
export function textIn(body: string, at: Pointer): string | null {
  return new Answer(body).textAt(at);
}

/** One answer, parsed. Numbers are read from the text, because a parsed number has lost digits. */
class Answer {
  readonly #body: string;
  readonly #parsed: unknown;
  /** The answer with a `NumberText` for each number. Made only if a pointer leads to a number whose digits matter. */
  #withNumbers: unknown = undefined;

  constructor(body: string) {
    this.#body = body;
    this.#parsed = parseJson(body);
  }

  reading(
    status: Pick<UpstreamReading, "word" | "map" | "isTentative">,
    reason: AnswerPointers["reason"],
    details: AnswerPointers["details"],
  ): UpstreamReading {
    const found = details.map(([name, at]): [string, CallDetail] => [name, this.#detailAt(at)]);
    return { ...status, reason: this.#firstText(reason), details: storedDetails(Object.fromEntries(found)) };
  }

  /** Returns a string, number or boolean as it is written; `null` if there is none, or a blank text. */
  textAt(at: Pointer): string | null {
    const value = valueAt(this.#parsed, at);
    if (typeof value === "string") return value.trim() === "" ? null : value;
    if (typeof value === "number") return this.#digitsAt(at);
    return typeof value === "boolean" ? String(value) : null;
  }

  #firstText(pointers: readonly Pointer[]): string {
    for (const at of pointers) {
      const text = this.textAt(at);
      if (text !== null) return text;
    }
    return "";
  }

  /** A number that loses digits when it is parsed becomes its text. */
  #detailAt(at: Pointer): CallDetail {
    const value = valueAt(this.#parsed, at);
    if (typeof value === "string") return storable(value);
    if (typeof value === "boolean") return value;
    if (typeof value !== "number") return null;
    if (Number.isSafeInteger(value) && !fractionOrExponent.test(this.#body)) return value;
    const digits = this.#digitsAt(at);
    return canonical(digits) === canonical(String(value)) ? value : digits;
  }

  #digitsAt(at: Pointer): string {
    this.#withNumbers ??= JSON.parse(withoutMark(this.#body), keepDigits);
    const value = valueAt(this.#withNumbers, at);
    return value instanceof NumberText ? value.source : "";
  }
}

/** A number as it is written. */
class NumberText {
  readonly source: string;

  constructor(source: string) {
    this.source = source;
  }
}

function keepDigits(_key: string, value: unknown, context?: { readonly source?: string }): unknown {
  return typeof value === "number" ? new NumberText(context?.source ?? String(value)) : value;
}

/** Returns a number's digits and exponent in the one form that all ways to write it have. */
function canonical(number: string): string {
  const [, sign = "", whole = "", fraction = "", exponent = "0"] = numberSyntax.exec(number) ?? [];
  const digits = `${whole}${fraction}`.replace(/^0+/, "");
  const significant = digits.replace(/0+$/, "");
  return significant === "" ? whole : `${sign}${significant}e${Number(exponent) - fraction.length + digits.length - significant.length}`;
}
