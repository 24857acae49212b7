import { enableCompileCache } from "node:module";

// What was compiled is kept for the next start, of threads too: each reads this variable. A start takes less time and each thread
// less memory, because none loads the compiler of types. Where the folder cannot be written or holds nothing, all is as without it.
process.env.NODE_COMPILE_CACHE ??= new URL("../../node_modules/.cache/ringback", import.meta.url).pathname;
enableCompileCache(process.env.NODE_COMPILE_CACHE);
