/** What both the list and a machine's own page show of it. */

import { Link } from "wouter-preact";
import { now } from "../lib/clock";
import { ago, clock, percent, usd } from "../lib/format";
import { isText, t } from "../lib/i18n";
import { faultText, isBeingSetUp, isOnTheWay, type Look, lookOf, phaseText, progressOf } from "../lib/phases";
import type { Environment } from "../lib/types";
import { Icon, type IconName } from "../ui/icon";
import { Progress } from "../ui/notice";
import "../styles/machines.css";

const ICONS: Record<Look, IconName> = { good: "check", idle: "stop", busy: "refresh", bad: "warning" };

export function PhaseBadge({ machine }: { machine: Environment }) {
  const look = lookOf(machine);
  return (
    <span class={`phase ${look}`}>
      <Icon name={machine.hibernated ? "snow" : ICONS[look]} />
      {t(phaseText(machine))}
    </span>
  );
}

/** What is going on, in the user's language where that is known. */
function doing(machine: Environment): string {
  const step = `step.${machine.installation.phase ?? ""}`;
  if (isBeingSetUp(machine) && isText(step)) return t(step);
  return machine.phase === "creating" ? (machine.status_message ?? "") : "";
}

export function MachineProgress({ machine }: { machine: Environment }) {
  const done = progressOf(machine);
  if (done === null) return null;
  const label = machine.phase === "running" ? t("machines.beingSetUp") : t(phaseText(machine));
  return (
    <div class="progress">
      <Progress percent={done} label={label} />
      <p class="hint">
        {machine.phase === "running" && `${label}: `}
        {doing(machine)} {percent(done)}
      </p>
    </div>
  );
}

export function Usage({ machine }: { machine: Environment }) {
  const { cpu_usage, memory_usage, storage_usage } = machine;
  if (machine.phase !== "running" || (cpu_usage === null && memory_usage === null && storage_usage === null))
    return null;
  return (
    <dl class="usage">
      {(
        [
          ["machines.cpu", cpu_usage],
          ["machines.memory", memory_usage],
          ["machines.disk", storage_usage],
        ] as const
      ).map(([name, value]) => (
        <div key={name}>
          <dt>{t(name)}</dt>
          <dd>
            <meter min={0} max={100} high={90} value={value ?? 0} aria-hidden="true" />
            {value === null ? "–" : percent(value)}
          </dd>
        </div>
      ))}
    </dl>
  );
}

export function Cost({ machine: { billing } }: { machine: Environment }) {
  return (
    <p class="hint">
      {t("machines.cost", { hour: usd(billing.usd_per_hour), month: usd(billing.usd_month_to_date) })}
      {billing.state === "powered_off" && ` ${t("machines.stoppedCosts")}`}
    </p>
  );
}

export function IdleStop({ machine: { idle_stop_at } }: { machine: Environment }) {
  if (idle_stop_at === null) return null;
  const isDue = Date.parse(idle_stop_at) <= now.value; // it waits for the machine's answer (docs/environments.md)
  return (
    <p class="hint with-icon">
      <Icon name="clock" />
      {isDue
        ? t("machines.idleDue")
        : t("machines.idleStop", { in: ago(idle_stop_at, now.value), at: clock(Date.parse(idle_stop_at)) })}
    </p>
  );
}

/** Why it is in an error, or lacks something. */
export function Fault({ machine }: { machine: Environment }) {
  const lacks = machine.phase === "running" ? machine.installation.error : null;
  if (machine.error === null && lacks === null) return null;
  return (
    <div class={`notice ${machine.error ? "bad" : "warn"}`}>
      <Icon name="warning" />
      <div>
        <p>{machine.error ? t(faultText(machine.error.code)) : t("fault.lacks")}</p>
        <p class="said">{machine.error?.message ?? lacks}</p>
      </div>
    </div>
  );
}

/** Shown where there is a terminal, or will be: it opens by itself then. */
export function OpenTerminal({ machine, main = false }: { machine: Environment; main?: boolean }) {
  if (machine.phase !== "running" && !isOnTheWay(machine)) return null;
  return (
    <Link href={`/machines/${machine.id}/terminal`} class={`button ${main ? "main" : "plain"}`}>
      <Icon name="terminal" />
      {t("machines.openTerminal")}
      <span class="unseen"> {machine.name}</span>
    </Link>
  );
}
