import type {
  IDataObject,
  IExecuteFunctions,
  IHookFunctions,
  IHttpRequestMethods,
  ILoadOptionsFunctions,
  INodePropertyOptions,
  IWebhookFunctions,
  JsonObject,
} from "n8n-workflow";
import { NodeApiError } from "n8n-workflow";

export const credentialName = "ringbackApi";

type Context = IExecuteFunctions | IHookFunctions | ILoadOptionsFunctions;
type RequestParts = {
  readonly query?: IDataObject;
  readonly body?: IDataObject;
  readonly headers?: IDataObject;
  /** Status that is an answer, not an error, besides 2xx. */
  readonly answerStatus?: number;
};
type Answer = { readonly status: number; readonly body: IDataObject };

/** Sends a request to the service. Rejects with the detail of the refusal (RFC 9457) and the faults of the fields. */
export async function request(context: Context, method: IHttpRequestMethods, path: string, parts: RequestParts = {}): Promise<Answer> {
  const { url } = await context.getCredentials<{ url: string }>(credentialName);
  const { statusCode, body } = (await context.helpers.httpRequestWithAuthentication.call(context, credentialName, {
    method,
    url: `${url.trim().replace(/\/+$/, "")}${path}`,
    qs: parts.query,
    body: parts.body,
    headers: parts.headers,
    json: true,
    // A redirected request would carry the key to another host.
    disableFollowRedirect: true,
    returnFullResponse: true,
    ignoreHttpStatusErrors: true,
  })) as { readonly statusCode: number; readonly body: IDataObject | string | undefined };
  const answer = { status: statusCode, body: typeof body === "object" ? body : {} };
  if ((statusCode >= 200 && statusCode < 300) || statusCode === parts.answerStatus) return answer;
  throw new NodeApiError(context.getNode(), answer.body as JsonObject, {
    message: String(answer.body.title ?? `Ringback answered ${statusCode}`),
    description: [answer.body.detail ?? "The address of the credential may be that of something else.", ...faultsOf(answer.body)].join(
      "\n",
    ),
    httpCode: String(statusCode),
  });
}

function faultsOf({ errors }: IDataObject): readonly string[] {
  if (!Array.isArray(errors)) return [];
  return (errors as IDataObject[]).map(({ pointer, parameter, detail }) =>
    `${String(pointer ?? parameter ?? "")} ${String(detail)}`.trim(),
  );
}

/** Returns the secret that webhooks are signed with, or an empty text if the credential has none. */
export async function signingSecretOf(context: IHookFunctions | IWebhookFunctions): Promise<string> {
  const { signingSecret = "" } = await context.getCredentials<{ signingSecret?: string }>(credentialName);
  return signingSecret.trim();
}

/** The sources that the account may use, as the choice of a field. */
export async function sourceChoices(context: ILoadOptionsFunctions): Promise<INodePropertyOptions[]> {
  const { body } = await request(context, "GET", "/v1/sources");
  return (body.data as readonly { readonly name: string; readonly kind: string; readonly state: string }[]).map(
    ({ name, kind, state }) => ({
      name: `${name} (${kind}, ${state})`,
      value: name,
    }),
  );
}

/** A choice of pairs, as a field of type `fixedCollection` holds it. */
export type Pairs = { readonly pair?: readonly { readonly name: string; readonly value: string }[] };

/** Returns the pairs as an object, with a prefix before each name. */
export function objectOf({ pair = [] }: Pairs, prefix = ""): IDataObject {
  return Object.fromEntries(pair.map(({ name, value }) => [`${prefix}${name}`, String(value)]));
}
