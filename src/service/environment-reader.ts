import { httpUrlFault } from "../domain/webhooks/http-url.ts";
import { hasOwnPrefix, isQuoted, isServiceLink, nameMeant, quotedFault } from "./variable-names.ts";

/** Reads typed environment variables. Collects faults and warnings, one line each, which never contain a value. */
export class EnvironmentReader {
  readonly faults: string[] = [];
  readonly warnings: string[] = [];
  readonly #read = new Set<string>();
  readonly #environment: Readonly<Record<string, string | undefined>>;

  constructor(environment: Readonly<Record<string, string | undefined>>) {
    this.#environment = environment;
  }

  /** Adds a fault. A variable has one line, that of its first fault. */
  fault(name: string, detail: string): void {
    if (!this.faults.some((fault) => fault.startsWith(`${name}: `))) this.faults.push(`${name}: ${detail}`);
  }

  /** Reads a trimmed text; `null` if it is unset, empty or a service link. Quotes around it are a fault. */
  text(name: string): string | null {
    this.#read.add(name);
    const value = this.#environment[name]?.trim();
    if (value === undefined || value === "" || isServiceLink(name, value)) return null;
    if (!isQuoted(value)) return value;
    this.fault(name, quotedFault);
    // The text inside, so that the quotes are the only fault that is reported.
    return value.slice(1, -1).trim() || null;
  }

  /** Adds a warning: the service starts all the same. */
  warning(name: string, detail: string): void {
    this.warnings.push(`${name}: ${detail}`);
  }

  /**
   * Checks the names of the variables that were not read: a misspelt one is a fault, another with a prefix of this service is
   * a warning. Called last, because the names that were read are those that exist.
   */
  checkNames(): void {
    for (const [name, value] of Object.entries(this.#environment)) {
      const text = value?.trim() ?? "";
      if (text === "" || this.#read.has(name) || isServiceLink(name, text)) continue;
      const meant = nameMeant(name, this.#read);
      if (meant !== null) this.fault(name, `is not known; ${meant} is meant, so rename or remove it`);
      else if (hasOwnPrefix(name)) this.warning(name, "is not known and has no effect");
    }
  }

  /** Reads a comma-separated list, trimmed and without empty entries; `null` if it is unset or empty. */
  list(name: string): readonly string[] | null {
    const entries = this.text(name)
      ?.split(",")
      .map((entry) => entry.trim())
      .filter((entry) => entry !== "");
    return entries ?? null;
  }

  integer(name: string, fallback: number, min: number, max: number): number {
    return this.#parse(name, fallback, /^-?\d{1,15}$/, `must be a whole number from ${min} to ${max}`, min, max);
  }

  number(name: string, fallback: number, min: number, max: number): number {
    return this.#parse(name, fallback, /^-?\d{1,15}(?:\.\d{1,6})?$/, `must be a number from ${min} to ${max}`, min, max);
  }

  flag(name: string, fallback: boolean): boolean {
    return this.choice(name, ["true", "false", "1", "0"] as const, fallback ? "true" : "false").replace("1", "true") === "true";
  }

  choice<const T extends string>(name: string, choices: readonly T[], fallback: T): T {
    const value = this.text(name);
    if (value === null) return fallback;
    const choice = choices.find((candidate) => candidate === value.toLowerCase());
    if (choice === undefined) this.fault(name, `must be one of ${choices.join(", ")}`);
    return choice ?? fallback;
  }

  /** Reads an absolute http or https URL without credentials, query or fragment; `null` if it is unset or empty. */
  httpUrl(name: string): string | null {
    const value = this.text(name);
    if (value === null) return null;
    const fault = httpUrlFault(value);
    if (fault !== null) this.fault(name, fault);
    return value;
  }

  #parse(name: string, fallback: number, syntax: RegExp, rule: string, min: number, max: number): number {
    const value = this.text(name);
    if (value === null) return fallback;
    const parsed = syntax.test(value) ? Number(value) : Number.NaN;
    if (parsed >= min && parsed <= max) return parsed;
    this.fault(name, rule);
    return fallback;
  }
}
