import { addressOf } from "../requests.js";

/** Fills the choice of a source. Not a trigger that a Zap can have. */
export const sourceList = {
  key: "source_list",
  noun: "Source",
  display: { label: "List Sources", description: "Triggers when the choice of a source is opened.", hidden: true },
  operation: {
    perform: async (z, bundle) => {
      const { data } = await z.request({ url: addressOf(bundle, "/v1/sources") });
      return data.data.map(({ name, kind, state }) => ({ id: name, name: `${name} (${kind}, ${state})` }));
    },
  },
};
