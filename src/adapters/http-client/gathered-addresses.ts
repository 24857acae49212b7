import { DnsFailure, dnsFailureOf } from "./dns-failure.ts";
import { localFailureCodeOf } from "./local-failure.ts";
import type { AddressRecord } from "./name-servers.ts";

/** Time for the addresses of the other family once those of one family have arrived (Resolution Delay, RFC 8305 §3). */
const afterAddressesMs = 50;
/** Time for the answer of the other family after an answer without addresses. Longer, because there is nothing to dial yet. */
const afterNothingMs = 1000;

type Answer = { readonly records: readonly AddressRecord[]; readonly failure: DnsFailure | null };

export type GatheredAddresses = {
  /** Records that have arrived when the wait ends. Rejects with `DnsFailure` if there are none. */
  readonly usable: Promise<readonly AddressRecord[]>;
  /** All records, when both questions have ended. A server that never answers delays this by many seconds. Never rejects. */
  readonly all: Promise<readonly AddressRecord[]>;
};

/**
 * Waits for the A and AAAA records of a name, which are requested at the same time. A resolver that swallows one of the two
 * questions costs 50 ms if the other has an address, a second if it has none, and `limitMs` if it swallows both.
 */
export function gatherAddresses(questions: readonly Promise<readonly AddressRecord[]>[], limitMs: number): GatheredAddresses {
  const { promise: usable, resolve, reject } = Promise.withResolvers<readonly AddressRecord[]>();
  const answers: (Answer | null)[] = questions.map(() => null);
  const endAtMs = performance.now() + limitMs;
  const recordsNow = () => answers.flatMap((answer) => answer?.records ?? []);
  let isOver = false;
  const end = () => {
    clearTimeout(timer);
    isOver = true;
    const records = recordsNow();
    if (records.length > 0) resolve(records);
    else reject(failureOf(answers));
  };
  let timer = setTimeout(end, limitMs);
  const note = (index: number, answer: Answer) => {
    answers[index] = answer;
    if (isOver) return;
    clearTimeout(timer);
    if (!answers.includes(null)) return end();
    const waitMs = recordsNow().length > 0 ? afterAddressesMs : afterNothingMs;
    timer = setTimeout(end, Math.max(0, Math.min(waitMs, endAtMs - performance.now())));
  };
  const noted = questions.map((question, index) =>
    question.then(
      (records) => note(index, { records, failure: null }),
      (error: unknown) => note(index, { records: [], failure: dnsFailureOf(error) }),
    ),
  );
  return { usable, all: Promise.all(noted).then(recordsNow) };
}

/** Returns the most informative of several failures. A question without an answer has timed out. */
function failureOf(answers: readonly (Answer | null)[]): DnsFailure {
  const failures = answers.map((answer) => (answer === null ? new DnsFailure("ETIMEOUT") : (answer.failure ?? new DnsFailure("ENODATA"))));
  return (
    failures.find((failure) => localFailureCodeOf(failure) !== null) ??
    failures.find(({ code }) => code === "ENOTFOUND") ??
    failures.find(({ code }) => code !== "ENODATA") ??
    new DnsFailure("ENODATA")
  );
}
