import { signal } from "@preact/signals";
import { beforeEach, expect, test, vi } from "vitest";
import type { LinkOptions, LinkState } from "../src/lib/link";
import type { Environment } from "../src/lib/types";

const fake = vi.hoisted(() => ({
  // biome-ignore lint/suspicious/noExplicitAny: filled below, where signals can be imported
  user: null as any,
  // biome-ignore lint/suspicious/noExplicitAny: as above
  state: null as any,
  options: null as LinkOptions | null,
  get: vi.fn(),
  retry: vi.fn(),
}));

vi.mock("../src/lib/session", async () => {
  const { signal: make } = await import("@preact/signals");
  fake.user = make(null);
  return { user: fake.user, ticket: async () => "ticket" };
});
vi.mock("../src/lib/link", () => ({
  openLink(options: LinkOptions) {
    fake.options = options;
    fake.state = signal<LinkState>({ kind: "connecting", attempt: 0 });
    return { state: fake.state, close: () => undefined, retry: fake.retry };
  },
  socketUrl: () => "wss://here",
}));
vi.mock("../src/lib/api", async (original) => ({ ...(await original<object>()), get: fake.get }));

const { ApiError } = await import("../src/lib/api");
const store = await import("../src/lib/machines");
store.followMachines();

const machine = (id: string, more: Partial<Environment> = {}) =>
  ({
    id,
    name: id,
    created_at: `2026-11-24T10:00:0${id}Z`,
    updated_at: "2026-11-24T10:00:00Z",
    ...more,
  }) as Environment;
const tell = (frame: { type: string } & Record<string, unknown>) => fake.options?.onFrame(frame);
const names = () => store.machines.value?.map(({ name }) => name);

beforeEach(() => {
  fake.get.mockReset();
  fake.user.value = null;
  fake.user.value = { id: "somebody" };
});

test("nothing is known until the server has told, and then the newest comes first", () => {
  expect(store.machines.value).toBeNull();
  expect(store.findMachine("1")).toBeUndefined();
  tell({ type: "welcome", environments: [machine("1"), machine("2")] });
  expect(names()).toEqual(["2", "1"]);
  expect(store.findMachine("3")).toBeNull();
});

test("changes and removals are followed", () => {
  tell({ type: "welcome", environments: [machine("1")] });
  tell({ type: "environment", environment: machine("2", { name: "new" }) });
  tell({ type: "environment_removed", environment_id: "1" });
  expect(names()).toEqual(["new"]);
  expect(store.isDeleted("1")).toBe(true);
  expect(store.isDeleted("2")).toBe(false);
});

test("an answer that was on its way brings back neither a deleted machine nor an older state", () => {
  tell({ type: "welcome", environments: [machine("1"), machine("2")] });
  tell({ type: "environment", environment: machine("2", { name: "later", updated_at: "2026-11-24T10:00:09Z" }) });
  tell({ type: "environment_removed", environment_id: "1" });
  store.putMachine(machine("1"));
  store.putMachine(machine("2", { name: "earlier" }));
  expect(names()).toEqual(["later"]);
});

test("what was deleted while there was no connection is known to be deleted afterwards", () => {
  tell({ type: "welcome", environments: [machine("1"), machine("2")] });
  tell({ type: "welcome", environments: [machine("2")] });
  expect(store.findMachine("1")).toBeNull();
  expect(store.isDeleted("1")).toBe(true);
});

test("one that was created before the list is known is no list", () => {
  store.putMachine(machine("1"));
  expect(store.findMachine("1")?.name).toBe("1");
  expect(store.machines.value).toBeNull();
});

test("where the WebSocket doesn't get through, they are asked for", async () => {
  fake.get.mockResolvedValue([machine("1")]);
  fake.state.value = { kind: "waiting", until: 0, attempt: 1, why: "lost" };
  expect(fake.get).not.toHaveBeenCalled();
  fake.state.value = { kind: "waiting", until: 0, attempt: 2, why: "lost" };
  await vi.waitFor(() => expect(names()).toEqual(["1"]));
  expect(store.knownBy.value?.kind).toBe("asked");
  tell({ type: "welcome", environments: [machine("1")] });
  expect(store.knownBy.value?.kind).toBe("news");
});

test("one that is created while the list is on its way stays", async () => {
  let answer: (all: Environment[]) => void = () => undefined;
  fake.get.mockReturnValue(
    new Promise((resolve) => {
      answer = resolve;
    }),
  );
  const reading = store.readMachines();
  store.putMachine(machine("2"));
  answer([machine("1")]);
  await reading;
  expect(names()).toEqual(["2", "1"]);
});

test("one that isn't there any more is known to be deleted", async () => {
  tell({ type: "welcome", environments: [machine("1")] });
  fake.get.mockRejectedValue(new ApiError(404, "not_found", ""));
  await expect(store.readMachine("1")).rejects.toThrow();
  expect(store.findMachine("1")).toBeNull();
});

test("after signing in once more there are news again", () => {
  fake.get.mockRejectedValue(new ApiError(401, "token_invalid", ""));
  fake.state.value = { kind: "ended", code: 1008, why: "session_revoked", message: "" };
  fake.retry.mockClear();
  fake.user.value = { id: "somebody" };
  expect(fake.retry).toHaveBeenCalledOnce();
});

test("another user sees nothing of the one before", () => {
  tell({ type: "welcome", environments: [machine("1")] });
  fake.user.value = { id: "somebody else" };
  expect(store.machines.value).toBeNull();
});
