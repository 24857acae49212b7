import type { Answered, Json } from "./client.ts";
import type { ClientKnowledge, KnowledgeParts, Of } from "./client-knowledge.ts";
import { numberOf } from "./plan.ts";
import type { KnownPlacing } from "./placing-rules.ts";

/** Runs a step that places a call: asks until there is an answer, asks again, and settles what is not known as a person would. */
export class PlaceStep {
  readonly #parts: KnowledgeParts;
  readonly #knowledge: ClientKnowledge;

  constructor(parts: KnowledgeParts, knowledge: ClientKnowledge) {
    this.#parts = parts;
    this.#knowledge = knowledge;
  }

  async run(step: Of<"place">): Promise<void> {
    const { plan, auditor } = this.#parts;
    const url = step.url === null ? null : (plan.urls[step.url]?.url ?? null);
    const { account, metadata } = step;
    const placing = auditor.placings.asked({ key: `place-${step.id}`, number: numberOf(step.id), account, url, metadata });
    const asks = step.isPaired ? [this.#ask(step, placing), this.#ask(step, placing)] : [this.#ask(step, placing)];
    const answers = await Promise.all(asks);
    for (const answer of answers) this.#note(step, placing, answer);
    if (step.repeatAfterMs !== null && answers.some((answer) => answer?.status === 201 || answer?.status === 502)) {
      await this.#knowledge.client(step).sleep(step.repeatAfterMs);
      this.#note(step, placing, await this.#ask(step, placing));
    }
    const [unknownId] = placing.unknownIds;
    if (unknownId === undefined || step.resolve === "never") return;
    await this.#resolve(step, placing, unknownId);
    if (!placing.resolutions.has(unknownId)) return;
    // By its SID the key is answered with the watch from now on; freed, it places a call that rings for the first time.
    this.#note(step, placing, await this.#ask(step, placing));
  }

  async #ask(step: Of<"place">, placing: KnownPlacing): Promise<Answered | null> {
    const { plan, auditor } = this.#parts;
    const url = step.url === null ? undefined : plan.urls[step.url];
    const body = {
      call: { to_number: placing.number },
      callback_url: url?.url ?? null,
      ...(Object.keys(step.metadata).length === 0 ? {} : { metadata: step.metadata }),
      ...(url === undefined || url.format === null ? {} : { format: url.format }),
      ...(url === undefined || url.secret === null ? {} : { signing_secret: url.secret }),
    };
    placing.asking += 1;
    let isLost = false;
    const { result } = await this.#opening(step, () =>
      this.#knowledge.client(step).send(
        {
          method: "POST",
          path: "/v1/calls",
          body,
          idempotencyKey: placing.key,
          onAnswer: ({ status, text }) => auditor.placings.answered(placing, status, text),
        },
        () => {
          isLost = true;
        },
      ),
    );
    placing.asking -= 1;
    // The secret of a new endpoint may have been rotated before a repeat is answered.
    if (url !== undefined && url.secret === null && (isLost || placing.unknownIds.size > 0))
      this.#knowledge.client(step).endpointOf(url).isSecretUnknown = true;
    return result;
  }

  /** The watch may enable its endpoint, by whichever request it is made. */
  #opening<T>(step: Of<"place">, ask: () => Promise<T>) {
    const { plan } = this.#parts;
    const url = step.url === null ? undefined : plan.urls[step.url];
    const endpoints = url === undefined ? [] : [this.#knowledge.client(step).endpointOf(url)];
    return this.#knowledge.opening(
      endpoints,
      endpoints.some(({ mayBeDisabled }) => mayBeDisabled),
      ask,
    );
  }

  #note(step: Of<"place">, placing: KnownPlacing, answer: Answered | null): void {
    const { auditor } = this.#parts;
    if (answer === null) return;
    const { status, body } = answer;
    if (status === 502) return void placing.unknownIds.add(String(body["placing_id"]));
    if (status !== 201) {
      if (String(body["type"]).endsWith(":call-refused")) return;
      return this.#knowledge.judgeRefusal(step, status, body);
    }
    const id = body["id"] as string;
    // The watch may be gone by now; its id alone is left.
    if (body["call_sid"] === undefined && this.#knowledge.isShortRetention()) return;
    const sid = String(body["call_sid"]);
    if (!placing.dials.some((dial) => dial.sid === sid))
      auditor.violate("an answer says what was sent", `201 with ${sid}, which ${placing.number} did not ring as`, placing.number);
    if (placing.watchId !== null && placing.watchId !== id)
      auditor.violate("idempotency", `${placing.key} has the watches ${placing.watchId} and ${id}`, placing.number, id);
    if (placing.watchId !== null) return;
    placing.watchId = id;
    this.#knowledge.noteMade(step, { sid, url: step.url, events: null }, status, body);
  }

  /** A person looks whether it rang, and says so; now and then two do at once. */
  async #resolve(step: Of<"place">, placing: KnownPlacing, id: string): Promise<void> {
    const client = this.#knowledge.client(step);
    const { auditor } = this.#parts;
    // What has left arrives within this time.
    await client.sleep(3000);
    const sid = placing.dials.find((dial) => dial.sid !== null && !placing.freed.has(dial))?.sid ?? null;
    const resolve = () =>
      client.send({ method: "POST", path: `/v1/placings/${id}/resolve`, body: { call_sid: sid } }).then((answer) => {
        if (answer === null) return null;
        if (answer.status !== 200 && !String(answer.body["type"]).endsWith(":placing-settled")) this.#knowledge.unexpected(step, answer);
        return answer;
      });
    const { result: answers } = await this.#opening(step, () =>
      Promise.all(step.resolve === "twice" ? [resolve(), resolve()] : [resolve()]),
    );
    if (answers.filter((answer) => answer?.status === 200).length > 1)
      auditor.violate("resolved once", `${id} was resolved twice`, placing.number);
    if (answers.every((answer) => answer === null)) return;
    // A 409 follows a resolution whose answer was lost, or a busy disk: until a sweep the row still says that the trigger is out.
    if (answers.some((answer) => answer?.status === 200)) placing.resolutions.set(id, sid);
    else placing.uncertain.add(id);
    if (sid === null) for (const dial of placing.dials) placing.freed.add(dial);
    const shown = answers.find((answer) => answer?.status === 200)?.body;
    if (shown !== undefined) this.#checkShown(shown, sid, placing);
  }

  #checkShown(shown: Json, sid: string | null, { number }: KnownPlacing): void {
    if (shown["state"] !== "resolved" || shown["call_sid"] !== sid)
      this.#parts.auditor.violate("resolved once", `resolved by ${sid}, and shown as ${JSON.stringify(shown)}`, number);
  }
}
