// Runs the Zapier app with the tester of its platform, in a process of its own, because the platform patches `http` and `fetch`.
// Messages: `{ id, method, bundle, callbackUrl? }`; answers: `{ id, results }` or `{ id, error }`.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const folder = process.argv[2];
const require = createRequire(`${folder}/index.js`);
const { default: app } = await import(pathToFileURL(`${folder}/index.js`).href);
const zapier = require("zapier-platform-core");
const tester = zapier.createAppTester(app);
const handler = zapier.createAppHandler(app);

/** Steps are run by the tester. Only the handler behind it takes a callback URL, and the schema check. */
async function run({ method, bundle, callbackUrl }) {
  if (method === "validate") return (await handler({ command: "validate" })).results;
  if (callbackUrl !== undefined) return (await handler({ command: "execute", method, bundle, callback_url: callbackUrl })).results;
  const step = method.split(".").reduce((at, name) => at[name], app);
  return tester(step, bundle);
}

process.on("message", (message) => {
  run(message).then(
    (results) => process.send({ id: message.id, results }),
    (error) => process.send({ id: message.id, error: `${error.name}: ${error.message}` }),
  );
});
process.send({ id: 0, results: null });
