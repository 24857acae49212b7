import { messageOf } from "../../../domain/error-text.ts";
import { operationNumbers } from "../operations.ts";
import type { OperationNumber, OperationPort } from "../operations.ts";
import type { Answer, ClaimedResult, DraftResult, Request } from "../writer-thread/group.ts";
import { codecOf } from "./codec.ts";
import { unpackAll } from "./leaves.ts";
import type { Codec, LeafReader, Leaves } from "./leaves.ts";
import { claim, claimedValue, draftResults } from "./claim-shapes.ts";
import { operationShapes } from "./operation-shapes.ts";
import { nullable } from "./shape.ts";
import type { AnyShape, Shape } from "./shape.ts";

/** A request or an answer as it crosses. */
export type Packed = readonly unknown[];

type OperationCodec = { readonly args: Codec<unknown>; readonly result: Codec<unknown> };

/** Codecs by the number of the operation. */
const operationCodecs: readonly OperationCodec[] = (Object.keys(operationNumbers) as (keyof OperationPort)[]).map((name) => {
  const { args, result } = operationShapes[name] as { readonly args: readonly AnyShape[]; readonly result: AnyShape };
  return { args: codecOf({ node: "tuple", parts: args } as Shape<unknown>), result: codecOf(result as Shape<unknown>) };
});
const claimCodec = codecOf(nullable(claim));
const claimedValueCodec = codecOf(claimedValue as Shape<unknown>);
const draftResultsCodec = codecOf(draftResults);

/** First leaf of what is not the request or the result of an operation; those begin with the number of the operation. */
const refusedMark = -1;
const failedMark = -2;
const claimedMark = -3;

/**
 * Packs a request. One that does not have the shape of its operation crosses as the reason of its refusal, so that its
 * operation fails alone, in the thread that runs it.
 */
export function packRequest({ operation, args, claim }: Request): Packed {
  try {
    const leaves: Leaves = [operation];
    const codec = codecsOf(operation);
    claimCodec.pack(claim ?? null, leaves);
    codec.args.pack(args, leaves);
    return leaves;
  } catch (error) {
    return [refusedMark, operation, messageOf(error)];
  }
}

/** Returns the request; with `refusal`, it must not be run. */
export function unpackRequest(packed: Packed): Request {
  const [first, operation, reason] = packed;
  if (first === refusedMark) return { operation: Number(operation), args: [], refusal: String(reason) };
  return unpackAll(unpackRequestLeaves, packed, new Map());
}

function unpackRequestLeaves(from: LeafReader): Request {
  const operation = Number(from.take());
  const claim = claimCodec.unpack(from);
  const args = codecsOf(operation).args.unpack(from) as readonly unknown[];
  return claim === null ? { operation, args } : { operation, args, claim };
}

/** Packs the value of an answer, before the commit of its group: throws for a value that does not have the shape of the operation. */
export function packValue({ operation, claim }: Pick<Request, "operation" | "claim">, value: unknown): Packed {
  const isClaimed = claim !== undefined;
  const leaves: Leaves = [isClaimed ? claimedMark : operation];
  (isClaimed ? claimedValueCodec : codecsOf(operation).result).pack(value, leaves);
  return leaves;
}

/** Packs an answer whose value `packValue` has packed. */
export function packAnswer(answer: Answer): Packed {
  return answer.ok ? (answer.value as Packed) : [failedMark, answer.code, answer.message];
}

/** Unpacks answers that came in one message. A value that cannot be unpacked is the failure of its operation. */
export function unpackAnswers(answers: readonly Packed[]): readonly Answer[] {
  const shared = new Map<unknown, unknown>();
  return answers.map((packed) => {
    if (packed[0] === failedMark) return { ok: false, code: String(packed[1]), message: String(packed[2]) };
    try {
      return { ok: true, value: unpackAll(unpackValueLeaves, packed, shared) };
    } catch (error) {
      return { ok: false, code: "bug", message: messageOf(error) };
    }
  });
}

/** Results of claimed operations, with values that `packValue` has packed. */
export function unpackClaimedResults(results: readonly ClaimedResult[]): readonly ClaimedResult[] {
  const shared = new Map<unknown, unknown>();
  return results.map(({ index, value }) => ({ index, value: unpackAll(unpackValueLeaves, value as Packed, shared) }));
}

export function packDraftResults(drafted: readonly DraftResult[]): Packed {
  const leaves: Leaves = [];
  draftResultsCodec.pack(drafted, leaves);
  return leaves;
}

export function unpackDraftResults(packed: Packed): readonly DraftResult[] {
  return unpackAll(draftResultsCodec.unpack, packed, new Map());
}

function unpackValueLeaves(from: LeafReader): unknown {
  const first = Number(from.take());
  return (first === claimedMark ? claimedValueCodec : codecsOf(first).result).unpack(from);
}

function codecsOf(operation: OperationNumber): OperationCodec {
  const codecs = operationCodecs[operation];
  if (codecs === undefined) throw new Error(`the writer thread has no operation ${operation}`);
  return codecs;
}
