import { StartupError } from "../../domain/errors.ts";
import type { SourceSettings } from "../../domain/sources/source-settings.ts";
import type { UpstreamKind, UpstreamProtocol } from "../../ports/upstream-kind.ts";
import { jsonKind } from "../json/json-kind.ts";
import { agentsKind } from "../polyai/agents.ts";
import { legacyKind } from "../polyai/legacy.ts";

/** Every kind of upstream that a source can have. The first is the default. A further kind is one file and one entry. */
export const upstreamKinds: readonly [UpstreamKind, ...UpstreamKind[]] = [legacyKind, agentsKind, jsonKind];

/** Returns how a source is polled. Throws `StartupError` for an unknown kind, and if no request can be made from the settings. */
export function protocolOf(settings: SourceSettings, credential: string, kinds: readonly UpstreamKind[] = upstreamKinds): UpstreamProtocol {
  const kind = kinds.find(({ name }) => name === settings.kind);
  if (kind === undefined) throw new StartupError(`the source's kind ${JSON.stringify(settings.kind)} is not known`);
  return kind.protocolOf(settings, credential);
}
