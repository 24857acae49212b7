import { describe, expect, test } from "vitest";
import { startCallbacks } from "../harness/receivers/callbacks.ts";
import { apiKey, fastPolling } from "../harness/service/environment.ts";
import { startService } from "../harness/service/service.ts";
import { simulatedUpstream } from "../harness/upstream/simulated-upstream.ts";
import { folderOf, isInstalled, startProgram } from "./package-program.ts";

type Item = Readonly<Record<string, unknown>>;

describe.runIf(isInstalled("zapier", "zapier-platform-core"))("the Zapier app", () => {
  test("passes the schema check of the platform", { timeout: 60_000 }, async () => {
    const ask = await startProgram("zapier-program.mjs", folderOf("zapier"));
    expect(await ask({ method: "validate" })).toEqual([]);
  });

  test("connects, subscribes, watches, places and finds, as Zapier runs it", { timeout: 60_000 }, async () => {
    const upstream = await simulatedUpstream();
    const [ask, service, receiver] = await Promise.all([
      startProgram("zapier-program.mjs", folderOf("zapier")),
      startService({
        environment: { ...fastPolling, POLYAI_BASE_URL: upstream.url, POLYAI_AUTH_TOKEN: "token", RINGBACK_MAY_PLACE: "true" },
      }),
      startCallbacks(),
    ]);
    const authData = { url: `${service.url}/`, key: apiKey };
    const step = <T = Item>(method: string, bundle: Item = {}, callbackUrl?: string) =>
      ask<T>({ method, bundle: { authData, ...bundle }, callbackUrl });
    const trigger = "triggers.call_status_changed.operation";

    const me = await step("authentication.test");
    expect(await step("authentication.connectionLabel", { inputData: me })).toBe("default");
    await expect(step("authentication.test", { authData: { ...authData, key: "wrong" } })).rejects.toThrow("AuthenticationError");
    expect(await step("triggers.source_list.operation.perform")).toContainEqual(expect.objectContaining({ id: "default" }));

    // The samples in the editor have the keys of the live events.
    const samples = await step<readonly Item[]>(`${trigger}.performList`, { inputData: { events: ["terminal"] } });
    expect(samples).toHaveLength(3);

    const filters = { events: ["terminal"], sources: ["default"], statuses: ["success", "failure"], metadata: { team: "north" } };
    const subscribed = await step(`${trigger}.performSubscribe`, { inputData: filters, targetUrl: receiver.url("/trigger") });
    expect(await service.client.list("/v1/hooks")).toEqual([
      expect.objectContaining({
        id: subscribed["id"],
        events: ["terminal"],
        where: { source: { in: ["default"] }, status: { in: ["success", "failure"] }, "metadata.team": "north" },
      }),
    ]);

    const call_sid = upstream.trigger({ scenario: [{ atMs: 0, status: "calling" }] });
    const watched = await step("creates.watch_call.operation.perform", {
      inputData: { call_sid, source: "", metadata: { team: "north" } },
    });
    expect(watched).toMatchObject({ call_sid, source: "default", callback_url: null, metadata: { team: "north" } });
    upstream.script(call_sid, { scenario: [{ atMs: 0, status: "success" }] });
    await receiver.arrived(1);
    const live = JSON.parse(receiver.received[0]?.body ?? "") as Item;
    const [event] = await step<readonly Item[]>(`${trigger}.perform`, { cleanedRequest: live, subscribeData: subscribed });
    expect(event).toMatchObject({ call_sid, type: "call.success", status: "success", terminal: true, metadata_team: "north" });
    // The editor offers the fields of the sample, so that every one of them is in the live event.
    expect(Object.keys(live)).toEqual(expect.arrayContaining(Object.keys(samples[0] ?? {}).filter((key) => !key.startsWith("metadata_"))));

    const find = (inputData: Item) => step<readonly Item[]>("searches.find_call.operation.perform", { inputData });
    expect(await find({ call_sid })).toEqual([expect.objectContaining({ id: call_sid, status: "success", terminal: true })]);
    expect(await find({ call_sid: "OUT-never-watched", source: "default" })).toEqual([]);
    await expect(
      step("searches.find_call.operation.perform", { authData: { ...authData, key: "" }, inputData: { call_sid } }),
    ).rejects.toThrow("AuthenticationError");

    const place = "creates.place_call_and_wait.operation";
    const inputData = {
      call: { to_number: "+442079460000", metadata: '{"team":"south"}' },
      idempotency_key: "lead-1",
      metadata: { team: "south" },
    };
    expect(await step(`${place}.perform`, { inputData, meta: { isLoadingSample: true } })).toMatchObject({ terminal: true });
    expect(await service.client.list("/v1/placings")).toEqual([]);
    const placed = await step(`${place}.perform`, { inputData }, receiver.url("/callback/1"));
    // A step that Zapier repeats has another callback URL, and waits for the call that was placed.
    const repeated = await step(`${place}.perform`, { inputData }, receiver.url("/callback/2"));
    expect(repeated["call_sid"]).toBe(placed["call_sid"]);
    expect(await service.client.list("/v1/placings")).toHaveLength(1);
    upstream.script(String(placed["call_sid"]), { scenario: [{ atMs: 0, status: "failure", reason: "busy" }] });
    await receiver.arrived(3);
    const callbacks = receiver.received.slice(1);
    expect(callbacks.map(({ path }) => path).toSorted()).toEqual(["/callback/1", "/callback/2"]);
    const resumed = await step(`${place}.performResume`, {
      outputData: placed,
      cleanedRequest: JSON.parse(callbacks[0]?.body ?? "") as Item,
    });
    expect(resumed).toMatchObject({ ...placed, watch_id: expect.any(String), status: "failure", reason: "busy", metadata_team: "south" });

    // A refusal shows what is wrong with which field, and one that passes is a throttling.
    await expect(
      step(`${place}.perform`, { inputData: { ...inputData, idempotency_key: "lead-2", source: "nothing" } }, receiver.url()),
    ).rejects.toThrow(/source/);

    await step(`${trigger}.performUnsubscribe`, { subscribeData: subscribed });
    await step(`${trigger}.performUnsubscribe`, { subscribeData: subscribed });
    expect(await service.client.list("/v1/hooks")).toEqual([]);
  });
});
