import plugin from "eslint-plugin-n8n-nodes-base";
import { createRequire } from "node:module";

// The parsers come with the plugin.
const require = createRequire(import.meta.resolve("eslint-plugin-n8n-nodes-base"));
const parser = require("@typescript-eslint/parser");
const plugins = { "n8n-nodes-base": plugin };

/** For packages outside n8n's own repository the address of the documentation is an address, not a name. */
const off = { "n8n-nodes-base/cred-class-field-documentation-url-miscased": "off" };

const ruleSet = (name, files) => ({
  files,
  languageOptions: { parser, parserOptions: { sourceType: "module", extraFileExtensions: [".json"] } },
  plugins,
  rules: { ...plugin.configs[name].rules, ...off },
});

export default [
  { ignores: ["dist/**", "*.mjs"] },
  ruleSet("community", ["package.json"]),
  ruleSet("credentials", ["credentials/**/*.ts"]),
  ruleSet("nodes", ["nodes/**/*.ts"]),
];
