import { addressOf } from "./requests.js";

/** Returns the account of the key, which is the connection test. */
const test = async (z, bundle) => (await z.request({ url: addressOf(bundle, "/v1/me") })).data;

/** Returns the name of the account. Zapier puts the answer of the test into `inputData`. */
const connectionLabel = (_z, bundle) => String(bundle.inputData.name ?? "Ringback");

export const authentication = {
  type: "custom",
  test,
  connectionLabel,
  fields: [
    {
      key: "url",
      label: "Address",
      type: "string",
      required: true,
      isNoSecret: true,
      placeholder: "https://ringback.example.com",
      helpText: "Address of your Ringback service, as in its configuration `PUBLIC_URL`.",
    },
    {
      key: "key",
      label: "API key",
      type: "password",
      required: true,
      helpText:
        "The operator creates one with `npm run ringback -- key create <account> --name zapier`. Triggers need the scope `endpoints`, *Watch a Call* needs `watch`, placing needs `place`.",
    },
  ],
};
