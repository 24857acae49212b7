import { messageOf } from "../../error-message.ts";
import { StartupError } from "../../../domain/errors.ts";
import pg from "pg";

/** No password, no such role or database, no right to it, or not a database that the schema fits into: waiting does not help. */
const refusedStates = /^(?:28|3D|42|22|0A)/;
/** What `pg` refuses by itself has no code, only words. */
const refusedByClient: readonly (readonly [RegExp, string])[] = [
  [/client password must be a (?:non-empty )?string/, "wants a password, and the URL has none"],
  [/server does not support SSL connections/, "does not speak TLS, and the URL asks for it: turn TLS on there, or set sslmode=disable"],
];

/** The one line to say when a database cannot be used until somebody changes something; null where waiting may help. */
export function refusalOf(error: unknown): StartupError | null {
  if (error instanceof StartupError) return error;
  if (error instanceof pg.DatabaseError)
    return refusedStates.test(error.code ?? "")
      ? new StartupError(`the database of DATABASE_URL cannot be used: ${messageOf(error)}`, { cause: error })
      : null;
  const said = messageOf(error);
  const why = refusedByClient.find(([words]) => words.test(said))?.[1];
  return why === undefined ? null : new StartupError(`the database of DATABASE_URL ${why}`, { cause: error });
}
