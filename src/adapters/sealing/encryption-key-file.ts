import { closeSync, fsyncSync, linkSync, openSync, readFileSync, unlinkSync, writeSync } from "node:fs";
import { randomUUID } from "node:crypto";
import { dirname, join, resolve } from "node:path";
import { generateEncryptionKey, parseEncryptionKeys } from "./secret-box.ts";
import { StartupError } from "../../domain/errors.ts";

const fileName = "encryption.key";
const variable = "RINGBACK_ENCRYPTION_KEY";

export type EncryptionKeys = {
  /** The first seals, all open. */
  readonly keys: readonly Buffer[];
  /** The variable or the file they come from, for people. */
  readonly origin: string;
};

/**
 * The operator's keys, or the one of the data folder, made where there is none and nothing was sealed yet (mode 600, on
 * disk before anything is sealed with it). A database in memory has a key in memory. `keyIdsInUse`: what the database
 * was sealed with. `databasePath` null: no file, so only given keys count.
 */
export function loadEncryptionKeys(given: string | null, databasePath: string | null, keyIdsInUse: readonly string[]): EncryptionKeys {
  if (given !== null) return parsed(variable, given);
  if (databasePath === null) throw new StartupError(`${variable}: is required with Postgres (openssl rand -base64 32 makes one)`);
  if (databasePath === ":memory:") return parsed("a key in memory", generateEncryptionKey());
  const path = keyPathOf(databasePath);
  const [keyId] = keyIdsInUse;
  const text = read(path);
  if (text !== null) return parsed(path, text);
  // Another key would open nothing, and lie in the place of the one that is missed.
  if (keyId !== undefined)
    throw new StartupError(
      `the encryption key ${keyId}, which the database was sealed with, is absent: put it into ${variable} or ${path}`,
    );
  return parsed(path, make(path));
}

/** Where the keys of a database come from, for people: the variable or the file. */
export function encryptionKeyOrigin(given: string | null, databasePath: string): string {
  return given === null ? keyPathOf(databasePath) : variable;
}

function keyPathOf(databasePath: string): string {
  return join(dirname(resolve(databasePath)), fileName);
}

function parsed(origin: string, text: string): EncryptionKeys {
  const result = parseEncryptionKeys(text);
  if (result.kind === "invalid") throw new StartupError(`${origin}: ${result.detail}`);
  return { keys: result.keys, origin };
}

function read(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw new StartupError(`the encryption key ${path} cannot be read: ${(error as Error).message}`, { cause: error });
  }
}

/** Whole or not at all: when somebody else makes one at the same moment, the one that was first is both's. */
function make(path: string): string {
  const temporaryPath = `${path}.${randomUUID()}`;
  try {
    write(temporaryPath, `${generateEncryptionKey()}\n`);
    putInPlace(temporaryPath, path);
    const folder = openSync(dirname(path), "r");
    fsyncSync(folder);
    closeSync(folder);
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new StartupError(`the encryption key ${path} cannot be written: ${(error as Error).message}`, { cause: error });
  }
}

function write(path: string, text: string): void {
  const file = openSync(path, "wx", 0o600);
  writeSync(file, text);
  fsyncSync(file);
  closeSync(file);
}

/** A link, unlike a rename, takes nobody's place. */
function putInPlace(temporaryPath: string, path: string): void {
  try {
    linkSync(temporaryPath, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  } finally {
    unlinkSync(temporaryPath);
  }
}
