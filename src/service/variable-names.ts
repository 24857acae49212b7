/** Number of letters by which a misspelt name may differ from the one that was meant. */
const maxTypoLetters = 2;
/** Shorter names are too near to those of other programs, unless they have a prefix of this service. */
const minTypoLength = 9;
const ownPrefix = /^(?:RINGBACK|POLYAI)_/;
const quotePairs = new Set([`""`, "''", "``", "“”", "‘’", "„“", "«»"]);

/** Fault of a value in quotes. */
export const quotedFault = "is in quotes, which belong to the value here: leave them out";

/** Returns whether a value has quotes around it. A shell drops them; an env file, a manifest or a container may keep them. */
export function isQuoted(value: string): boolean {
  return value.length >= 2 && quotePairs.has(`${value[0]}${value.at(-1)}`);
}

/**
 * Returns whether Kubernetes set a variable to describe a service of the same namespace. A service named `metrics` sets
 * `METRICS_PORT=tcp://…`, `METRICS_SERVICE_HOST` and `METRICS_PORT_9091_TCP`.
 */
export function isServiceLink(name: string, value: string): boolean {
  return /_SERVICE_HOST$|_SERVICE_PORT(?:_|$)|_PORT_/.test(name) || (name.endsWith("_PORT") && /^(?:tcp|udp|sctp):\/\//i.test(value));
}

/** Returns the known name that an unknown one was meant to be; `null` if it may belong to another program. */
export function nameMeant(unknown: string, known: Iterable<string>): string | null {
  if (unknown.length < minTypoLength && !ownPrefix.test(unknown)) return null;
  let [nearest, fewest] = [null as string | null, maxTypoLetters + 1];
  for (const name of known) {
    const letters = distance(unknown, name);
    if (letters < fewest) [nearest, fewest] = [name, letters];
  }
  return nearest;
}

/** Returns whether a name can only be meant for this service. */
export function hasOwnPrefix(name: string): boolean {
  return ownPrefix.test(name);
}

/** Returns the Levenshtein distance; any number above `maxTypoLetters` once that is certain to be exceeded. */
function distance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > maxTypoLetters) return maxTypoLetters + 1;
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (const [i, letter] of [...a].entries()) {
    const next = [i + 1];
    for (let j = 1; j < row.length; j++) {
      const [left = 0, above = 0, before = 0] = [next[j - 1], row[j], row[j - 1]];
      next.push(Math.min(left + 1, above + 1, before + (letter === b[j - 1] ? 0 : 1)));
    }
    row = next;
    if (Math.min(...row) > maxTypoLetters) break;
  }
  return Math.max(row.at(-1) ?? 0, Math.min(...row));
}
