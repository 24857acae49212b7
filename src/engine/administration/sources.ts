import { commandLine } from "../../domain/audit.ts";
import { newId } from "../../domain/ids.ts";
import { associatedData } from "../../domain/secrets/sealed-identity.ts";
import { defaultMaxPollsPerSecond, sourceFaults } from "../../domain/sources/source-settings.ts";
import type { KindSettings, SourceFault, SourceSettings } from "../../domain/sources/source-settings.ts";
import { statusMapChangesFrom } from "../../domain/sources/status-map.ts";
import type { StatusMapChanges } from "../../domain/sources/status-map.ts";
import type { Clock } from "../../ports/clock.ts";
import type { SecretBox } from "../../ports/secret-box.ts";
import type { SourceStore, StoredSource } from "../../ports/stores/source-store.ts";

export type SourceAdministrationOptions = {
  readonly store: SourceStore;
  readonly secretBox: SecretBox;
  readonly clock: Pick<Clock, "nowMs">;
  /** Every kind that a source can have. A new source gets the first one. */
  readonly kinds: readonly [KindSettings, ...KindSettings[]];
};

/** Fields that are left out keep their value, or get their default if the source is new. */
export type SourceSettingsChange = Partial<Omit<SourceSettings, "statusMap">> & {
  readonly name: string;
  /** The only account that may use the source. If left out, an existing source keeps its account, and a new one is open to all. */
  readonly accountId?: string;
  readonly credential?: string;
  /** Added to the changes that are stored; a new definition begins without any. */
  readonly statusMapChanges?: StatusMapChanges;
};

export type SetSourceOutcome =
  | { readonly kind: "created" | "changed"; readonly source: StoredSource }
  | { readonly kind: "invalid"; readonly faults: readonly SourceFault[] }
  /** The source belongs to another account, or to all accounts (`null`). Their calls must not be polled with this credential. */
  | { readonly kind: "owned_otherwise"; readonly accountId: string | null }
  /** The source was removed. Its name is free once the retention time is over and none of its calls is kept. */
  | { readonly kind: "removed"; readonly removedAtMs: number }
  /** Another command set the source at the same time. */
  | { readonly kind: "conflict" };

/** Creates or changes one source as a whole: nothing is written unless all settings are usable. */
export async function setSource(options: SourceAdministrationOptions, change: SourceSettingsChange): Promise<SetSourceOutcome> {
  const { store, secretBox, clock, kinds } = options;
  const before = (await store.listSources()).find((source) => source.name === change.name) ?? null;
  if (before !== null && before.removedAtMs !== null) return { kind: "removed", removedAtMs: before.removedAtMs };
  const accountId = change.accountId ?? before?.accountId ?? null;
  if (before !== null && before.accountId !== accountId) return { kind: "owned_otherwise", accountId: before.accountId };
  const nowMs = clock.nowMs();
  const id = before?.id ?? newId("src", nowMs);
  const identity = associatedData("credential", id);
  const kept = before === null ? "" : secretBox.open(before.sealedCredential, identity);
  const credential = change.credential ?? kept;
  const settings = settingsAfter(before, change, kinds[0].name);
  const faults = sourceFaults(change.name, settings, credential, kinds).map((fault) => missingIn(fault, settings, credential));
  if (faults.length > 0) return { kind: "invalid", faults };
  const sealedCredential = credential === kept && before !== null ? before.sealedCredential : secretBox.seal(credential, identity);
  const draft = { id, name: change.name, accountId, sealedCredential, by: commandLine, nowMs, ...settings };
  const result = await store.setSource(draft, before?.revision ?? null);
  if (result.kind === "conflict") return result;
  return { kind: before === null ? "created" : "changed", source: result.source };
}

function settingsAfter(before: StoredSource | null, change: SourceSettingsChange, defaultKind: string): SourceSettings {
  const kind = change.kind ?? before?.kind ?? defaultKind;
  // The fields of the previous kind do not apply to another kind.
  const keeps = kind === before?.kind ? before : null;
  return {
    kind,
    baseUrl: change.baseUrl ?? before?.baseUrl ?? "",
    agentId: change.agentId ?? keeps?.agentId ?? null,
    environment: change.environment ?? keeps?.environment ?? null,
    definition: change.definition ?? keeps?.definition ?? null,
    statusMap: statusMapAfter(change.definition === undefined ? keeps : null, change.statusMapChanges ?? {}),
    maxPollsPerSecond: change.maxPollsPerSecond ?? before?.maxPollsPerSecond ?? defaultMaxPollsPerSecond,
  };
}

function statusMapAfter(before: StoredSource | null, changes: StatusMapChanges): string | null {
  const after = { ...statusMapChangesFrom(before?.statusMap ?? null), ...changes };
  return Object.keys(after).length === 0 ? null : JSON.stringify(after);
}

/** Replaces the fault of an empty field, because its value is missing rather than wrong. */
function missingIn(fault: SourceFault, { baseUrl }: SourceSettings, credential: string): SourceFault {
  const isMissing = (fault.field === "baseUrl" && baseUrl === "") || (fault.field === "credential" && credential === "");
  return isMissing ? { field: fault.field, detail: "is missing: a new source needs it" } : fault;
}
