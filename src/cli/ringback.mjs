#!/usr/bin/env -S node --max-semi-space-size=8
import "../runtime-check.mjs";

// The command `ringback`: a plain module, because an older Node loads no other. Where this package is installed in another one,
// no Node strips its types.
if (import.meta.url.includes("/node_modules/")) await import("../service/strip-types.mjs");
await import("./ringback.ts");
