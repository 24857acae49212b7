import { fileURLToPath } from "node:url";
import { readArguments, UsageError } from "../command.ts";
import type { Command } from "../command.ts";

/** Commands by their name, as the command line has them. */
type Commands = () => Readonly<Record<string, Command>>;

const shells = ["bash", "zsh"] as const;
const packageFolder = fileURLToPath(new URL("../../..", import.meta.url)).replace(/\/$/, "");

/** Creates `completion`: prints a script that completes commands and flags. `commandsOf` is read when it runs, because it lists this command too. */
export function completionCommand(commandsOf: Commands): Command {
  return {
    summary: "print a script that completes commands and flags in a shell",
    usage: `  bash                 source <(npm run -s ringback -- completion bash)
  zsh                  source <(npm run -s ringback -- completion zsh)
The script completes the command ringback. It makes a function of that name that calls npm, unless there is such a command.`,
    async run(args, terminal) {
      const { positionals } = readArguments(args, { positionals: ["bash|zsh"] });
      const shell = shells.find((name) => name === positionals[0]);
      if (shell === undefined) throw new UsageError("the shell must be bash or zsh");
      terminal.out(scriptFor(shell, wordsOf(commandsOf())));
      return 0;
    },
  };
}

/** Words that may follow what is typed already: commands at first, then the second word of a command, or its flags. */
function wordsOf(commands: ReturnType<Commands>): ReadonlyMap<string, readonly string[]> {
  const words = new Map<string, string[]>([["", []]]);
  const add = (before: string, word: string) => words.set(before, [...new Set([...(words.get(before) ?? []), word])]);
  for (const [name, { usage }] of Object.entries(commands)) {
    const [first = "", second] = name.split(" ");
    add("", first);
    if (second !== undefined) add(first, second);
    for (const [flag] of usage.matchAll(/--[a-z][a-z-]*/g)) add(name, flag);
    add(name, "--json");
    add(name, "--help");
  }
  return words;
}

function scriptFor(shell: (typeof shells)[number], words: ReadonlyMap<string, readonly string[]>): string {
  const cases = [...words].flatMap(([before, next]) => (before === "" ? [] : [`    ${quoted(before)}) next=${quoted(next.join(" "))} ;;`]));
  const [count, first, second, firstOnly] =
    shell === "bash"
      ? ['"$COMP_CWORD"', "${COMP_WORDS[1]}", "${COMP_WORDS[2]}", '"$COMP_CWORD" -eq 2']
      : ['"$((CURRENT - 1))"', "${words[2]}", "${words[3]}", '"$((CURRENT - 1))" -eq 2'];
  const chosen = [
    `  local next=""`,
    `  case "${first} ${second}" in`,
    ...cases.filter((line) => /^ {4}'[^']* [^']*'\)/.test(line)),
    `  esac`,
    `  if [ ${firstOnly} ] || [ -z "$next" ]; then`,
    `    case "${first}" in`,
    ...cases.filter((line) => !/^ {4}'[^']* [^']*'\)/.test(line)).map((line) => `  ${line}`),
    `    esac`,
    `  fi`,
    `  if [ ${count} -eq 1 ]; then next=${quoted((words.get("") ?? []).join(" "))}; fi`,
  ];
  const offer = shell === "bash" ? [`  COMPREPLY=($(compgen -W "$next" -- "\${COMP_WORDS[COMP_CWORD]}"))`] : [`  compadd -- \${=next}`];
  return [
    `# Completion of ringback for ${shell}.`,
    `if ! type ringback >/dev/null 2>&1; then ringback() { npm --prefix ${quoted(packageFolder)} run -s ringback -- "$@"; }; fi`,
    `_ringback() {`,
    ...chosen,
    ...offer,
    `}`,
    shell === "bash"
      ? "complete -o default -F _ringback ringback"
      : "(( $+functions[compdef] )) || { autoload -Uz compinit; compinit; }\ncompdef _ringback ringback",
  ].join("\n");
}

/** Quotes a word for a shell. */
function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
