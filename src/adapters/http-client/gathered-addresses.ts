import { DnsFailure, dnsFailureOf } from "./dns-failure.ts";
import { localFailureCodeOf } from "./local-failure.ts";
import type { AddressRecord } from "./name-servers.ts";

/** After addresses of one family have come, those of the other have this long (the Resolution Delay of RFC 8305 §3). */
const afterAddressesMs = 50;
/** After an answer without addresses the other has longer, because there is nothing to dial yet. */
const afterNothingMs = 1000;

type Answer = { readonly records: readonly AddressRecord[]; readonly failure: DnsFailure | null };

export type GatheredAddresses = {
  /** Records that have arrived when the wait ends. Rejects with `DnsFailure` if there are none. */
  readonly usable: Promise<readonly AddressRecord[]>;
  /** Every record, once both questions have ended, which a server that never answers delays by many seconds. Never rejects. */
  readonly all: Promise<readonly AddressRecord[]>;
};

/**
 * Waits for the A and the AAAA records of a name, asked at the same time. A resolver that swallows one of the two questions
 * costs 50 ms if the other has an address, a second if it has none, and `limitMs` if it swallows both.
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

/** Of several failures the one that says most. A question without an answer has timed out. */
function failureOf(answers: readonly (Answer | null)[]): DnsFailure {
  const failures = answers.map((answer) => (answer === null ? new DnsFailure("ETIMEOUT") : (answer.failure ?? new DnsFailure("ENODATA"))));
  return (
    failures.find((failure) => localFailureCodeOf(failure) !== null) ??
    failures.find(({ code }) => code === "ENOTFOUND") ??
    failures.find(({ code }) => code !== "ENODATA") ??
    new DnsFailure("ENODATA")
  );
}
