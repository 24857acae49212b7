import { mkdtemp, rm, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { openAdministration } from "../commands/administration.ts";
import type { Administration } from "../commands/administration.ts";
import type { StoreConfig } from "../../service/config.ts";
import { bad, good, reasonOf } from "./finding.ts";
import type { Finding } from "./finding.ts";

/** The database, if it could be opened. The caller closes it. */
export type CheckedDatabase = { readonly findings: readonly Finding[]; readonly administration: Administration | null };

/** Checks the database: it can be opened, its folder can be written to, the encryption key fits, and there is an account. */
export async function checkDatabase(config: StoreConfig, hasApiKey: boolean): Promise<CheckedDatabase> {
  const { database, encryptionKeys } = config;
  const findings: Finding[] = [];
  if (database.kind === "sqlite" && database.path === ":memory:")
    return { findings: [good("database", "in memory: everything is lost with the process")], administration: null };
  if (database.kind === "sqlite") {
    const path = resolve(database.path);
    const folder = await checkFolder(dirname(path));
    if (folder !== null) return { findings: [folder], administration: null };
    if (((await sizeOf(path)) ?? 0) === 0)
      return {
        findings: [good("database", `${path} is made at the first start`), keyFinding(encryptionKeys), ...accountFinding(hasApiKey, false)],
        administration: null,
      };
  }
  let administration: Administration;
  try {
    administration = await openAdministration();
  } catch (error) {
    const remedy =
      database.kind === "postgres"
        ? "start Postgres, or correct DATABASE_URL; the service waits for a database that is away"
        : "correct DATABASE_URL, or restore the file from a backup";
    return { findings: [bad("database", reasonOf(error), remedy)], administration: null };
  }
  findings.push(good("database", `${database.kind === "sqlite" ? resolve(database.path) : "Postgres"} can be used`));
  try {
    const { secretBox, origin } = await administration.keyring();
    findings.push(good("encryption key", `${secretBox.keyIds.join(", ")} of ${origin} fits the database`));
  } catch (error) {
    findings.push(
      bad("encryption key", reasonOf(error), "set RINGBACK_ENCRYPTION_KEY to the key that made this database, or restore its key file"),
    );
  }
  findings.push(...accountFinding(hasApiKey, (await administration.store.findOldestAccount()) !== null));
  return { findings, administration };
}

/** Describes keys that seal nothing yet; the configuration has checked them. Without the variable the first start makes one. */
function keyFinding(encryptionKeys: string | null): Finding {
  return good("encryption key", encryptionKeys === null ? "is made beside the database at the first start" : "is usable");
}

function accountFinding(hasApiKey: boolean, hasAccount: boolean): readonly Finding[] {
  if (hasApiKey || hasAccount) return [good("account", hasAccount ? "there is one" : "RINGBACK_API_KEY makes the account default")];
  return [bad("account", "there is none", "set RINGBACK_API_KEY, or make one: npm run ringback -- account create <name>")];
}

/** Writes into the folder, or into the nearest that exists, because permissions alone do not prove that it works. `null` if it does. */
async function checkFolder(folder: string): Promise<Finding | null> {
  let existing = folder;
  while ((await sizeOf(existing)) === null && dirname(existing) !== existing) existing = dirname(existing);
  try {
    await rm(await mkdtemp(join(existing, ".ringback-doctor-")), { recursive: true });
    return null;
  } catch (error) {
    const remedy = "let the user of the service write to it, or choose another folder in DATABASE_URL";
    return bad("database", `the folder ${existing} cannot be written to (${reasonOf(error).split(",")[0] ?? ""})`, remedy);
  }
}

/** Returns the size of what is at a path; `null` if there is nothing. */
async function sizeOf(path: string): Promise<number | null> {
  return stat(path).then(
    ({ size }) => size,
    () => null,
  );
}
