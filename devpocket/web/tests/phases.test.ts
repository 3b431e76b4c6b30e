import { expect, test } from "vitest";
import { type Action, allows, faultText, isBeingSetUp, progressOf } from "../src/lib/phases";
import type { Environment, Phase } from "../src/lib/types";

const set = { completed: true, progress: 100, phase: null, message: null, error: null };
const machine = (phase: Phase, more: Partial<Environment> = {}) =>
  ({ phase, hibernated: false, idle_stop_at: null, installation: set, progress: 40, ...more }) as Environment;

const ACTIONS: Action[] = [
  "start",
  "stop",
  "restart",
  "recover",
  "hibernate",
  "resize",
  "snapshot",
  "extend",
  "delete",
];
const allowed = (shown: Environment) => ACTIONS.filter((action) => allows(shown, action));

// Source: docs/api.md, "Actions". A restart of a stopped machine is offered as its start.
test.each<[Phase, Action[]]>([
  ["creating", ["delete"]],
  ["provisioning", ["delete"]],
  ["installing", ["delete"]],
  ["configuring", ["delete"]],
  ["running", ["stop", "restart", "hibernate", "resize", "snapshot", "delete"]],
  ["stopping", ["delete"]],
  ["stopped", ["start", "hibernate", "resize", "snapshot", "delete"]],
  ["starting", ["delete"]],
  ["restarting", ["delete"]],
  ["resizing", ["delete"]],
  ["error", ["restart", "recover", "delete"]],
  ["terminated", []],
])("%s allows %j", (phase, actions) => {
  expect(allowed(machine(phase))).toEqual(actions);
});

test("a hibernated machine has no disk to copy, and isn't hibernated again", () => {
  expect(allowed(machine("stopped", { hibernated: true }))).toEqual(["start", "resize", "delete"]);
});

test("only a stop that would come can be put off", () => {
  expect(allows(machine("running", { idle_stop_at: "2026-11-24T10:00:00Z" }), "extend")).toBe(true);
});

test("a set-up behind an open terminal shows its own progress", () => {
  const installation = { ...set, completed: false, progress: 64 };
  expect(progressOf(machine("running", { installation }))).toBe(64);
  expect(progressOf(machine("installing", { installation }))).toBe(40);
  expect(progressOf(machine("running"))).toBeNull();
  expect(progressOf(machine("error", { installation }))).toBeNull();
});

test("a set-up that has failed doesn't go on", () => {
  const installation = { ...set, completed: false, error: "no network" };
  expect(isBeingSetUp(machine("running", { installation }))).toBe(false);
  expect(progressOf(machine("running", { installation }))).toBeNull();
});

test("every fault has a text", () => {
  expect(faultText("starting_timeout")).toBe("fault.timeout");
  expect(faultText("volume_missing")).toBe("fault.volumeMissing");
  expect(faultText("power_on_failed")).toBe("fault.other");
});
