import type { IDataObject, IExecuteFunctions, INodeExecutionData } from "n8n-workflow";
import { NodeOperationError, sleep } from "n8n-workflow";
import { objectOf, request } from "./requests";
import type { Pairs } from "./requests";

/** Runs an operation for one item. Returns undefined if it found nothing. */
export type Operation = (context: IExecuteFunctions, item: number) => Promise<IDataObject | undefined>;

const textOf = (context: IExecuteFunctions, name: string, item: number): string => String(context.getNodeParameter(name, item, "")).trim();

/**
 * Returns the options that a watch and a placed call share. A callback URL receives only the end of the call, in the `flat`
 * format.
 */
function watchOptions(context: IExecuteFunctions, item: number): IDataObject {
  const [source, callbackUrl] = [textOf(context, "source", item), textOf(context, "callbackUrl", item)];
  const metadata = objectOf(context.getNodeParameter("metadata", item, {}) as Pairs);
  return {
    ...(source === "" ? {} : { source }),
    ...(callbackUrl === "" ? { callback_url: null } : { callback_url: callbackUrl, format: "flat", events: ["terminal"] }),
    ...(Object.keys(metadata).length === 0 ? {} : { metadata }),
  };
}

const watch: Operation = async (context, item) => {
  const body = { call_sid: textOf(context, "callSid", item), ...watchOptions(context, item) };
  return (await request(context, "POST", "/v1/watches", { body })).body;
};

const place: Operation = async (context, item) => {
  const body = { call: callOf(context, item), ...watchOptions(context, item) };
  const headers = { "idempotency-key": textOf(context, "idempotencyKey", item) };
  return (await request(context, "POST", "/v1/calls", { body, headers })).body;
};

function callOf(context: IExecuteFunctions, item: number): IDataObject {
  const given = context.getNodeParameter("call", item);
  if (typeof given === "object" && given !== null) return given as IDataObject;
  try {
    return JSON.parse(String(given)) as IDataObject;
  } catch {
    throw new NodeOperationError(context.getNode(), "The field Call is not valid JSON", { itemIndex: item });
  }
}

/** Waits by long requests, each answered at the next change. `sequence` keeps a change between two of them from being missed. */
const wait: Operation = async (context, item) => {
  const path = `/v1/watches/${encodeURIComponent(textOf(context, "watchId", item))}`;
  const minutes = Number(context.getNodeParameter("maxMinutes", item, 60));
  const deadlineMs = Date.now() + minutes * 60_000;
  let { body } = await request(context, "GET", path);
  while (body.status === "active") {
    const startedMs = Date.now();
    if (startedMs >= deadlineMs)
      throw new NodeOperationError(context.getNode(), `The call has not ended within ${minutes} minutes`, { itemIndex: item });
    const seconds = Math.max(1, Math.min(30, Math.ceil((deadlineMs - startedMs) / 1000)));
    const next = await request(context, "GET", path, { query: { wait: seconds, sequence: body.sequence } });
    // An answer without news that did not wait: the account has too many waiting requests.
    if (next.body.sequence === body.sequence && Date.now() - startedMs < 1000) await sleep(1000);
    body = next.body;
  }
  return body;
};

const get: Operation = async (context, item) => {
  const source = textOf(context, "source", item);
  const path = `/v1/calls/${encodeURIComponent(textOf(context, "callSid", item))}`;
  const { status, body } = await request(context, "GET", path, { query: source === "" ? {} : { source }, answerStatus: 404 });
  return status === 404 ? undefined : body;
};

const operations: Readonly<Record<string, Operation>> = { get, place, wait, watch };

/** Runs the chosen operation for every item, one after the other. */
export async function runOperation(context: IExecuteFunctions): Promise<INodeExecutionData[]> {
  const results: INodeExecutionData[] = [];
  for (const [item] of context.getInputData().entries()) {
    try {
      const operation = operations[String(context.getNodeParameter("operation", item))];
      const json = await operation?.(context, item);
      if (json !== undefined) results.push({ json, pairedItem: { item } });
    } catch (error) {
      if (!context.continueOnFail()) throw error;
      results.push({ json: { error: (error as Error).message }, pairedItem: { item } });
    }
  }
  return results;
}
