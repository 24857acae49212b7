import { reencrypt } from "../../engine/administration/reencryption.ts";
import type { ReencryptionOptions, ReencryptionResult } from "../../engine/administration/reencryption.ts";
import { openAdministration } from "./administration.ts";
import { readArguments } from "../command.ts";
import type { Command, Terminal } from "../command.ts";
import { Progress, progressFlag, progressUsage } from "../progress.ts";

/** `reencrypt`: second step of a key rotation, after the service was started with both keys and before it runs with the new key alone. */
export const reencryptCommand: Command = {
  summary: "re-encrypt every secret with the first key of RINGBACK_ENCRYPTION_KEY",
  usage: `${progressUsage}
A service may run meanwhile, started with the same keys.
To change the key: 1. start the service with RINGBACK_ENCRYPTION_KEY=<new>,<old>  2. reencrypt with the same
3. start it with <new> alone. API keys stay valid.`,
  async run(args, terminal) {
    const { values, json } = readArguments(args, { switches: [progressFlag] });
    await using administration = await openAdministration();
    const { secretBox } = await administration.sealingKeyring();
    using progress = new Progress(terminal, values[progressFlag] === true);
    const onBatch: ReencryptionOptions["onBatch"] = ({ place, total: done }) =>
      progress.say(() => `${done.toLocaleString("en")} values re-encrypted so far, now of the kind ${place.replace("_", " ")}`);
    const result = await reencrypt({ store: administration.store, secretBox, signal: terminal.signal, onBatch });
    progress[Symbol.dispose]();
    const total = Object.values(result.resealed).reduce((sum, count) => sum + count, 0);
    const [keyId] = secretBox.keyIds;
    const { resealed, unreadable, remainingKeyIds } = result;
    if (json) terminal.out(JSON.stringify({ key_id: keyId, total, resealed, unreadable, remaining_key_ids: remainingKeyIds }));
    else terminal.out(`${total} values re-encrypted with the key ${keyId}${total === 0 ? "" : `: ${describeCounts(resealed)}`}`);
    const isDone = unreadable.length === 0 && remainingKeyIds.length === 0;
    if (!isDone) complain(result, terminal);
    return isDone ? 0 : 1;
  },
};

function describeCounts(resealed: ReencryptionResult["resealed"]): string {
  return Object.entries(resealed)
    .filter(([, count]) => count > 0)
    .map(([place, count]) => `${place.replace("_", " ")} ${count}`)
    .join(", ");
}

function complain({ unreadable, remainingKeyIds }: ReencryptionResult, { error, signal }: Terminal): void {
  for (const { place, id } of unreadable)
    error(`ringback reencrypt: the ${place.replace("_", " ")} of ${id} cannot be decrypted and was left unchanged`);
  const keys = remainingKeyIds.join(", ");
  if (signal.aborted) error(`ringback reencrypt: interrupted; some values are still encrypted with ${keys}`);
  else if (unreadable.length === 0)
    error(
      `ringback reencrypt: a service still encrypts with ${keys}: start it with the new key first in its list, then run this command again`,
    );
}
