import { systemClock } from "../../adapters/clock.ts";
import { protocolOf } from "../../adapters/upstream/kinds.ts";
import { UpstreamSource } from "../../adapters/upstream/upstream-source.ts";
import type { SourceSettings } from "../../domain/sources/source-settings.ts";
import type { PollAnswer } from "../../ports/call-source.ts";
import { UsageError } from "../command.ts";

type Verdict = { readonly ok: boolean; readonly text: string };

/** Result of one poll of a source. `ok` and `text` say what it proves. */
export type CheckedSource = Verdict & {
  readonly callSid: string;
  readonly observation: PollAnswer["observation"]["kind"];
  /** The upstream's `Date` in epoch milliseconds; `null` without one. */
  readonly upstreamDateMs: number | null;
};

/** Polls one call of a source: that of a SID, or one that cannot exist. Rejects with `UsageError` if no SID fits. */
export async function checkSource(settings: SourceSettings, credential: string, callSid: string | undefined): Promise<CheckedSource> {
  const protocol = protocolOf(settings, credential);
  const fault = callSid === undefined ? null : protocol.sidFault(callSid);
  if (fault !== null) throw new UsageError(`<sid> ${fault}`);
  const polled = callSid ?? protocol.unknownSids.find((sid) => protocol.sidFault(sid) === null);
  if (polled === undefined)
    throw new UsageError("no call that cannot exist fits the id_pattern of the source: give the SID of a real call");
  const source = new UpstreamSource(protocol, systemClock);
  try {
    const { observation, upstreamDateMs } = await source.poll({ callSid: polled, scope: "" }, () => true);
    return { ...verdictOf(observation, callSid !== undefined), callSid: polled, observation: observation.kind, upstreamDateMs };
  } finally {
    await source.close();
  }
}

function verdictOf(observation: PollAnswer["observation"], isReal: boolean): Verdict {
  switch (observation.kind) {
    case "status": {
      const word = `the status is ${observation.status}${observation.reason === "" ? "" : ` (${observation.reason})`}`;
      const details = observation.details === null ? "" : `, the details are ${observation.details}`;
      if (!isReal)
        return {
          ok: true,
          text: `a call that cannot exist has an answer: ${word}${details}. Address and definition are right; check with a real call`,
        };
      if (observation.isMapped) return { ok: true, text: `address, credential and parsing are right: ${word}${details}` };
      return { ok: false, text: `address and credential are right, but ${word}, which is in no status map: map it with source set --map` };
    }
    case "not_found":
    case "rejected": {
      const answer = observation.kind === "not_found" ? "unknown" : "refused";
      if (isReal)
        return {
          ok: false,
          text: `the upstream answers that the call is ${answer}: the SID, the address, the agent or the environment is wrong, or the call is too old`,
        };
      return {
        ok: true,
        text: `the upstream answers that the call is ${answer}, as it should. The host answers and refuses no credential; that the path is right and that statuses are read right is not proven: check with the SID of a real call`,
      };
    }
    case "unauthorized":
      return { ok: false, text: `the upstream refuses the credential (${observation.statusCode})` };
    case "rate_limited":
      return { ok: false, text: "the upstream limits the rate: lower --max-polls-per-second, or check again later" };
    case "failed":
      return { ok: false, text: `${observation.code}: ${observation.detail}` };
    case "not_started":
      return { ok: false, text: `this machine could not send the request (${observation.code})` };
  }
}
