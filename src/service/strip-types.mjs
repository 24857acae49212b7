import { readFileSync } from "node:fs";
import { registerHooks, stripTypeScriptTypes } from "node:module";
import { fileURLToPath } from "node:url";
import { isMainThread } from "node:worker_threads";

// Node strips no types below `node_modules`, where this package is when another one depends on it. `ringback.mjs` loads this
// module there, and worker threads, which have hooks of their own, load it by NODE_OPTIONS.
const root = new URL("..", import.meta.url).href;

registerHooks({
  load(url, context, nextLoad) {
    if (!url.startsWith(root) || !url.endsWith(".ts")) return nextLoad(url, context);
    const source = stripTypeScriptTypes(readFileSync(fileURLToPath(url), "utf8"));
    return { format: "module", shortCircuit: true, source };
  },
});
if (isMainThread) process.env.NODE_OPTIONS = `${process.env.NODE_OPTIONS ?? ""} --import ${import.meta.url}`;

// The first use warns that the function is experimental, as Node's own stripping of types no longer does.
const { emitWarning } = process;
process.emitWarning = () => undefined;
stripTypeScriptTypes("");
process.emitWarning = emitWarning;
