import type { html } from "hono/html";
import type { Env } from "../operations/dependencies.ts";
import type { Session } from "./session/session.ts";

/** `session` is there once the guard let the request through, `form` with a POST. */
export type DashboardEnv = { Variables: Env["Variables"] & { session: Session; form: URLSearchParams } };

/** What a template makes: text and quoted attributes are escaped in it. */
export type Html = ReturnType<typeof html>;
