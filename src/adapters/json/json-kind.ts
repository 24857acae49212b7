import { StartupError } from "../../domain/errors.ts";
import { statusMapChangesFrom, statusMapOf } from "../../domain/sources/status-map.ts";
import type { UpstreamKind } from "../../ports/upstream-kind.ts";
import { definitionFrom } from "./definition.ts";
import type { JsonDefinition } from "./definition.ts";
import { compileIdPattern } from "./id-pattern.ts";
import { parsePointer } from "./pointer.ts";
import { readAnswer } from "./read-answer.ts";
import type { AnswerPointers } from "./read-answer.ts";
import { parseTarget } from "./target.ts";
import { jsonTrigger } from "./trigger.ts";

/** SIDs of calls that no API has, in the usual shapes. */
const unknownSids = [
  "ringback-check-0",
  "00000000-0000-4000-8000-000000000000",
  "0",
  "1",
  "CA00000000000000000000000000000000",
  "00000000000000000000000000000000",
  "call_00000000000000000000000000000000",
  "ringback",
  "RINGBACK",
];

/** Any status API that answers JSON, described by a definition. */
export const jsonKind: UpstreamKind = {
  name: "json",
  fields: [],
  fixedWords: [],
  takesDefinition: true,
  credentialVariable: null,
  credentialHeader: null,
  protocolOf(settings, credential) {
    const definition = readStored(settings.definition, credential);
    const target = parseTarget(definition.url);
    if (typeof target === "string") throw new StartupError(`the url of the source's definition ${target}`);
    const { origin, lookupName, parts } = target;
    const pattern = compileIdPattern(definition.id_pattern);
    const pointers = pointersOf(definition, settings.statusMap);
    const own = Object.entries(definition.headers).map(([name, value]) => [name.toLowerCase(), value] as const);
    const headers = { accept: "application/json", "user-agent": "Ringback", ...Object.fromEntries(own) };
    return {
      origin,
      lookupName,
      headers,
      pathOf: (callSid) => parts.join(encodeURIComponent(callSid)),
      answerMaxBytes: definition.max_bytes,
      statusCodes: { notFound: definition.not_found, rejected: definition.rejected, unauthorized: definition.unauthorized },
      read: (body) => readAnswer(body, pointers),
      sidFault: (callSid) => (pattern.matches(callSid) ? null : `must match ${definition.id_pattern}, the id_pattern of the source`),
      unknownSids,
      ...(definition.trigger === undefined ? {} : { trigger: jsonTrigger(definition.trigger, headers) }),
    };
  },
};

function readStored(stored: string | null, credential: string): JsonDefinition {
  try {
    return definitionFrom(stored ?? "", credential);
  } catch {
    // The error of the parser may quote the definition.
    throw new StartupError("the source's definition cannot be read");
  }
}

const at = (text: string) => parsePointer(text) ?? [];

function pointersOf({ status, reason, map, details }: JsonDefinition, statusMap: string | null): AnswerPointers {
  const shared = statusMapOf(map, statusMapChangesFrom(statusMap));
  return {
    status: [status]
      .flat()
      .map((member) =>
        typeof member === "string" ? { at: at(member), map: shared } : { at: at(member.at), map: statusMapOf(member.map) },
      ),
    reason: [reason].flat().map(at),
    details: Object.entries(details).map(([name, text]) => [name, at(text)] as const),
  };
}
