import type { html } from "hono/html";
import type { Env } from "../operations/dependencies.ts";
import type { Session } from "./session/session.ts";

/** Variables of a request: `session` once the guard admitted it, `form` with a POST. */
export type DashboardEnv = { Variables: Env["Variables"] & { session: Session; form: URLSearchParams } };

/** Result of a template, in which text and quoted attributes are escaped. */
export type Html = ReturnType<typeof html>;
