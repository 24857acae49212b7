/** Name of the key of RINGBACK_API_KEY, which a start replaces by its name. No other key has it. */
export const environmentKeyName = "environment";

/** Returns what is wrong with the name of a key, or `null`. */
export function keyNameFault(name: string): string | null {
  if (!/^[^\p{C}]{1,100}$/u.test(name) || name.trim() !== name)
    return "must be 1 to 100 characters without control characters or space around";
  return name === environmentKeyName ? "is the name of the key of RINGBACK_API_KEY; choose another" : null;
}
