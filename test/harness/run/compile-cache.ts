/**
 * For the environment of test processes and of what they start: with what the one before compiled a service starts in
 * half the processor time, and a run starts some hundred of them.
 */
export const compileCache = { NODE_COMPILE_CACHE: new URL("../../../node_modules/.cache/node-compile", import.meta.url).pathname };
