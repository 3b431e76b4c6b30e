/** What a phase looks like and allows. Source: docs/environments.md, docs/api.md ("Actions"). */

import type { Text } from "./i18n";
import type { Environment, Phase } from "./types";

export type Action =
  | "start"
  | "stop"
  | "restart"
  | "recover"
  | "hibernate"
  | "resize"
  | "snapshot"
  | "extend"
  | "delete";
export type Look = "good" | "idle" | "busy" | "bad";
type Shown = Pick<Environment, "phase" | "hibernated" | "idle_stop_at" | "installation">;

const ON_THE_WAY: ReadonlySet<Phase> = new Set([
  "creating",
  "provisioning",
  "installing",
  "configuring",
  "starting",
  "restarting",
  "resizing",
]);

/** It will run, and its terminal opens by itself then. */
export function isOnTheWay({ phase }: Pick<Environment, "phase">): boolean {
  return ON_THE_WAY.has(phase);
}

/** The set-up goes on, perhaps behind a terminal that is open already. */
export function isBeingSetUp({ phase, installation }: Pick<Environment, "phase" | "installation">): boolean {
  if (installation.completed || installation.error !== null) return false;
  return ["creating", "provisioning", "installing", "configuring", "running"].includes(phase);
}

/** Percent of what is going on, or null where nothing is. */
export function progressOf(machine: Pick<Environment, "phase" | "installation" | "progress">): number | null {
  if (machine.phase === "running") return isBeingSetUp(machine) ? machine.installation.progress : null;
  return isOnTheWay(machine) || machine.phase === "stopping" ? machine.progress : null;
}

export function lookOf({ phase }: Pick<Environment, "phase">): Look {
  if (phase === "running") return "good";
  if (phase === "error") return "bad";
  return phase === "stopped" || phase === "terminated" ? "idle" : "busy";
}

export function phaseText({ phase, hibernated }: Pick<Environment, "phase" | "hibernated">): Text {
  return hibernated ? "phase.hibernated" : `phase.${phase}`;
}

/** What a machine may be told now. The server has the last word: it may have changed meanwhile. */
export function allows(machine: Shown, action: Action): boolean {
  const { phase, hibernated } = machine;
  const isAtRest = phase === "running" || phase === "stopped";
  switch (action) {
    case "start":
      return phase === "stopped";
    case "stop":
      return phase === "running";
    case "restart": // a stopped one is started instead
      return phase === "running" || phase === "error";
    case "recover":
      return phase === "error";
    case "hibernate":
    case "snapshot":
      return isAtRest && !hibernated;
    case "resize":
      return isAtRest;
    case "extend":
      return phase === "running" && machine.idle_stop_at !== null;
    case "delete":
      return phase !== "terminated";
  }
}

/** Why it is in an error, as a text of ours; the server's own words say more. */
export function faultText(code: string): Text {
  const known: Record<string, Text> = {
    cloud_error: "fault.cloud",
    droplet_missing: "fault.machineMissing",
    volume_missing: "fault.volumeMissing",
    host_key_mismatch: "fault.hostKey",
    home_not_mounted: "fault.home",
    installing_failed: "fault.setUp",
    setup_too_large: "fault.template",
  };
  if (code in known) return known[code] as Text;
  return code.endsWith("_timeout") ? "fault.timeout" : "fault.other";
}
