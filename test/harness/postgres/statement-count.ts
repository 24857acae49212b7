/** Counts the statements a client of Postgres sends, by the messages of its protocol (3.0): simple queries and executions. */
export class StatementCount {
  /** How often each text was sent. */
  readonly byText = new Map<string, number>();

  get total(): number {
    return [...this.byText.values()].reduce((sum, count) => sum + count, 0);
  }

  /** For one connection: give it what the client sends. */
  readonly tap = (): ((chunk: Buffer) => void) => {
    let rest: Buffer = Buffer.alloc(0);
    // The first message has no type.
    let typeBytes = 0;
    const textByName = new Map<string, string>();
    let bound = "";
    return (chunk) => {
      rest = Buffer.concat([rest, chunk]);
      while (rest.length >= typeBytes + 4) {
        const end = typeBytes + rest.readUInt32BE(typeBytes);
        if (rest.length < end) return;
        const type = typeBytes === 0 ? "" : String.fromCodePoint(rest[0] ?? 0);
        const [first = "", second = ""] = rest
          .subarray(typeBytes + 4, end)
          .toString("latin1")
          .split("\0", 2);
        if (type === "P") textByName.set(first, second);
        if (type === "B") bound = textByName.get(second) ?? second;
        if (type === "Q") this.#add(first);
        if (type === "E") this.#add(bound);
        rest = rest.subarray(end);
        typeBytes = 1;
      }
    };
  };

  #add(text: string): void {
    const short = text.replaceAll(/\s+/g, " ").trim().slice(0, 80);
    this.byText.set(short, (this.byText.get(short) ?? 0) + 1);
  }
}
