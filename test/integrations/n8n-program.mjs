// Runs the built n8n nodes with the functions of n8n that they call: parameters, credentials, requests, static data of the workflow.
// Messages: `{ id, run, ... }`; answers: `{ id, results }` or `{ id, error }`.
import { createRequire } from "node:module";

const [, , built] = process.argv;
const require = createRequire(`${built}/`);
const { RingbackApi } = require("./credentials/RingbackApi.credentials.js");
const { Ringback } = require("./nodes/Ringback/Ringback.node.js");
const { RingbackTrigger } = require("./nodes/Ringback/RingbackTrigger.node.js");
const [credential, action, trigger] = [new RingbackApi(), new Ringback(), new RingbackTrigger()];
/** Static data of the workflow, which n8n keeps from one run to the next. */
const staticData = {};

/** Evaluates an expression of a credential (`={{ … }}`), as n8n does. */
function evaluate(text, $credentials) {
  const [, expression] = /^=\{\{(.*)\}\}$/s.exec(text) ?? [];
  return expression === undefined ? text : new Function("$credentials", `return (${expression});`)($credentials);
}

/** A request as n8n's `httpRequest` sends it. */
async function httpRequest({ method = "GET", url, qs = {}, body, headers = {} }) {
  const given = Object.entries(qs).filter(([, value]) => value !== undefined);
  const query = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  const response = await fetch(query === "" ? url : `${url}?${query}`, {
    method,
    redirect: "manual",
    headers: { accept: "application/json", ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { statusCode: response.status, body: text === "" ? undefined : JSON.parse(text) };
}

function authenticated(credentials, options) {
  const headers = Object.entries(credential.authenticate.properties.headers).map(([name, value]) => [name, evaluate(value, credentials)]);
  return httpRequest({ ...options, headers: { ...options.headers, ...Object.fromEntries(headers) } });
}

const nodeOf = (type) => ({
  id: "1",
  name: type.description.displayName,
  type: type.description.name,
  typeVersion: 1,
  position: [0, 0],
  parameters: {},
});

/** Functions that every context has. Parameters that are not given have their defaults. */
const context = ({ credentials, parameters = {}, continues = false, webhookUrl }, type) => ({
  getNode: () => nodeOf(type),
  getCredentials: async () => credentials,
  continueOnFail: () => continues,
  getWorkflowStaticData: () => staticData,
  getNodeWebhookUrl: () => webhookUrl,
  helpers: {
    httpRequestWithAuthentication: (name, options) => {
      if (name !== credential.name) throw new Error(`no credential is called ${name}`);
      return authenticated(credentials, options);
    },
    returnJsonArray: (data) => (Array.isArray(data) ? data : [data]).map((json) => ({ json })),
  },
  getNodeParameter: (name, ...rest) => parameters[name] ?? rest.at(-1),
});

/** For `execute`, whose second parameter is the item. */
const executing = (message) => ({
  ...context(message, action),
  getInputData: () => message.items ?? [{ json: {} }],
  getNodeParameter: (name, item, fallback) => message.parameters[name] ?? fallback,
});

const runs = {
  async credentialTest({ credentials }) {
    const { baseURL, url } = credential.test.request;
    return authenticated(credentials, { url: `${evaluate(baseURL, credentials)}${url}` });
  },
  sources: (message) => action.methods.loadOptions.getSources.call(context(message, action)),
  execute: async (message) => (await action.execute.call(executing(message)))[0],
  hook: (message) => trigger.webhookMethods.default[message.step].call(context(message, trigger)),
  async webhook(message) {
    const answered = [];
    const response = { status: (code) => ({ json: () => void answered.push(code) }) };
    const result = await trigger.webhook.call({
      ...context(message, trigger),
      getBodyData: () => JSON.parse(message.body),
      getRequestObject: () => ({ headers: message.headers, rawBody: Buffer.from(message.body) }),
      getResponseObject: () => response,
    });
    return { ...result, answered };
  },
};

process.on("message", ({ id, run, ...message }) => {
  runs[run](message).then(
    (results) => process.send({ id, results }),
    (error) => process.send({ id, error: `${error.message} | ${error.description ?? ""}` }),
  );
});
process.send({ id: 0, results: null });
