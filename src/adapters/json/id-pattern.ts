import { RE2JS } from "re2js";

export const defaultIdPattern = "^[A-Za-z0-9_.:-]{1,128}$";
export const idPatternMaxLength = 200;
/** Longest SID of a `json` source. */
const idMaxLength = 128;

export type IdPattern = {
  /** Returns whether the pattern matches the SID as a whole, in linear time. */
  readonly matches: (callSid: string) => boolean;
  /** Fault of the pattern; `null` if it has none. */
  readonly fault: string | null;
};

/** Compiles a pattern in RE2's syntax. */
export function compileIdPattern(pattern: string): IdPattern {
  try {
    const compiled = RE2JS.compile(pattern);
    return {
      matches: (callSid) => callSid.length <= idMaxLength && callSid !== "." && callSid !== ".." && compiled.matches(callSid),
      fault: null,
    };
  } catch (error) {
    const detail = error instanceof Error ? error.message.replace(/^error parsing regexp: /, "") : "unknown";
    return { matches: () => false, fault: `must be a regular expression in RE2's syntax: ${detail}` };
  }
}
