import { StartupError } from "../../../domain/errors.ts";
import { messageOf } from "../../../domain/error-text.ts";
import { foreignAnswerOf } from "./port-probe.ts";
import pg from "pg";

/** SQLSTATEs for which waiting does not help: wrong password, unknown role, database or schema, missing privilege, or an unsuitable database. */
const refusedStates = /^(?:28|3D|3F|42|22|0A)/;
/**
 * Refusals of PgBouncer for which waiting does not help. All its errors have the SQLSTATE 08P01, also those that may pass, and
 * errors of the server's login as well.
 */
const poolerState = "08P01";
const refusedByPooler =
  /^no such (?:database|user)\b|^(?:database|role) ".*" does not exist|authentication failed$|^unsupported startup parameter/;
/** Errors that `pg` raises itself have no code, only a message. */
const refusedByClient: readonly (readonly [RegExp, string])[] = [
  [/client password must be a (?:non-empty )?string/, "requires a password, and the URL has none"],
  [
    /server does not support SSL connections/,
    "does not support TLS, and the URL requires it: enable TLS on the server, or set sslmode=disable",
  ],
];
/** Errors of `pg` for a server that speaks another protocol, and for one that is going away. */
const isAmbiguous = /terminated unexpectedly|establishing an SSL connection|timeout expired|ECONNRESET/;
/** Codes of OpenSSL and Node for a certificate that is not trusted, not valid now or of another name. */
const isCertificateError = /^(?:CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|HOSTNAME_MISMATCH|INVALID_CA|PATH_LENGTH_EXCEEDED|ERR_TLS_CERT_)/;

/**
 * Maps an error to a one-line `StartupError` if the database cannot be used until an operator acts; `null` if waiting may help:
 * a refused connection, a server that is starting up, too many connections.
 */
export async function startupErrorOf(error: unknown, connectionString: string): Promise<StartupError | null> {
  if (error instanceof StartupError) return error;
  const refuse = (what: string) => new StartupError(`the database of DATABASE_URL ${what}`, { cause: error });
  const message = messageOf(error);
  if (error instanceof pg.DatabaseError) {
    const remedy = error.code === "42501" ? ": let the role create tables, with `grant create on schema <name> to <role>`" : "";
    const isRefused = error.code === poolerState ? refusedByPooler.test(message) : refusedStates.test(error.code ?? "");
    return isRefused ? refuse(`cannot be used: ${message}${remedy}`) : null;
  }
  const { code = "", syscall, path } = error as NodeJS.ErrnoException;
  if (isCertificateError.test(code))
    return refuse(
      `has a certificate that does not verify (${code}): name the file of its CA in NODE_EXTRA_CA_CERTS or by sslrootcert=, and a host that is in the certificate`,
    );
  if (syscall === "open" || syscall === "read")
    return refuse(`names a file that cannot be read: ${path ?? ""} (${code}); correct sslrootcert, sslcert or sslkey`);
  if (code.startsWith("ERR_OSSL"))
    return refuse(`names a certificate or key that is not valid PEM (${code}): correct sslrootcert, sslcert or sslkey`);
  const reason = refusedByClient.find(([pattern]) => pattern.test(message))?.[1];
  if (reason !== undefined) return refuse(reason);
  const foreign = isAmbiguous.test(message) ? await foreignAnswerOf(connectionString) : null;
  return foreign === null ? null : refuse(`is not Postgres: its port answers ${foreign}; name the port of Postgres`);
}
