import { get } from "node:http";

// Health check of the image: exits with 0 if the service answers at the address where it listens, else with 1. A plain module
// without imports of its own, because it runs every few seconds. It reads HOST and PORT as config.ts does.
const read = (name, fallback) => process.env[name]?.trim() || fallback;
const listening = read("HOST", "0.0.0.0");
/** A service that listens on every address is asked on the loopback one. */
const host = { "0.0.0.0": "127.0.0.1", "::": "::1" }[listening] ?? listening;

const request = get({ host, port: read("PORT", "8080"), path: "/healthz", timeout: 2500 }, (response) => {
  process.exit(response.statusCode === 200 ? 0 : 1);
});
request.on("timeout", () => process.exit(1)).on("error", () => process.exit(1));
