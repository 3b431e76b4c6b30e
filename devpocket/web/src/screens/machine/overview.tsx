import { useEffect, useState } from "preact/hooks";
import { Link, useLocation } from "wouter-preact";
import { now } from "../../lib/clock";
import { ago, dateTime } from "../../lib/format";
import { isText, t } from "../../lib/i18n";
import { useLogs } from "../../lib/log-stream";
import { type Action, allows, isBeingSetUp, isOnTheWay } from "../../lib/phases";
import type { Environment } from "../../lib/types";
import { Button } from "../../ui/button";
import { CopyField } from "../../ui/copy";
import { Icon, type IconName } from "../../ui/icon";
import { Cost, IdleStop, Usage } from "../machine-parts";
import { awaited } from "../new-machine-draft";
import { useAction } from "../use-action";
import { ActionSheet } from "./action-sheet";
import { DeleteSheet } from "./delete-sheet";
import { LogLines, LogState } from "./log-lines";
import { ResizeSheet } from "./resize-sheet";

const ACTIONS: [Exclude<Action, "extend" | "snapshot" | "delete">, IconName][] = [
  ["start", "play"],
  ["recover", "refresh"],
  ["stop", "stop"],
  ["restart", "refresh"],
  ["hibernate", "snow"],
  ["resize", "grow"],
];

export function Overview({ machine }: { machine: Environment }) {
  const [asked, setAsked] = useState<Action | null>(null);
  const extending = useAction(machine);
  useOpening(machine);
  const close = () => setAsked(null);
  return (
    <>
      {(isBeingSetUp(machine) || machine.phase === "creating") && <Install machine={machine} />}
      <section class="card">
        <h2 class="unseen">{t("machine.now")}</h2>
        {machine.description && <p class="said">{machine.description}</p>}
        <Usage machine={machine} />
        <Cost machine={machine} />
        {machine.idle_stop_at && (
          <div class="buttons">
            <IdleStop machine={machine} />
            <Button icon="clock" busy={extending.busy !== null} onClick={() => extending.act("extend")}>
              {t("action.extend")}
            </Button>
          </div>
        )}
        {extending.refusal}
        <div class="buttons">
          {ACTIONS.filter(([action]) => allows(machine, action)).map(([action, icon]) => (
            <Button
              key={action}
              icon={icon}
              kind={action === "start" || action === "recover" ? "main" : "plain"}
              onClick={() => setAsked(action)}
            >
              {t(`action.${action}`)}
            </Button>
          ))}
          {allows(machine, "snapshot") && (
            <Link href={`/machines/${machine.id}/snapshots`} class="button" replace>
              <Icon name="camera" />
              {t("action.snapshot")}
            </Link>
          )}
          <Button icon="trash" kind="danger" onClick={() => setAsked("delete")}>
            {t("action.delete")}
          </Button>
        </div>
      </section>
      <Facts machine={machine} />
      {asked === "resize" && <ResizeSheet machine={machine} onClose={close} />}
      {asked === "delete" && <DeleteSheet machine={machine} onClose={close} />}
      {asked !== null && asked !== "resize" && asked !== "delete" && asked !== "snapshot" && asked !== "extend" && (
        <ActionSheet machine={machine} action={asked} onClose={close} />
      )}
    </>
  );
}

/** Who has created it and waits here for it gets its terminal. */
function useOpening(machine: Environment): void {
  const [, go] = useLocation();
  useEffect(() => {
    if (awaited.peek() !== machine.id) return;
    if (machine.phase === "running" && document.visibilityState === "visible")
      go(`/machines/${machine.id}/terminal`, { replace: true });
    if (machine.phase === "running" || !isOnTheWay(machine)) awaited.value = null;
  }, [machine.id, machine.phase]);
  useEffect(
    () => () => {
      awaited.value = null; // gone elsewhere meanwhile
    },
    [machine.id],
  );
}

function Install({ machine }: { machine: Environment }) {
  const { lines, state, retry } = useLogs(machine.id);
  return (
    <section class="card">
      <h2>{t("machine.install")}</h2>
      {awaited.value === machine.id && <p class="hint">{t("machine.opensItself")}</p>}
      <LogState state={state} onRetry={retry} />
      <LogLines lines={lines} label={t("machine.install")} />
    </section>
  );
}

function Facts({ machine }: { machine: Environment }) {
  const stopped = `stopped.${machine.last_stop_reason ?? ""}`;
  const facts: [string, string | null][] = [
    [t("machine.template"), machine.template_name],
    [t("new.size"), machine.size],
    [t("new.region"), machine.region],
    [t("machine.storage"), `${machine.storage_size_gb} GB`],
    [t("machine.address"), machine.droplet_ip],
    [t("machine.created"), dateTime(machine.created_at)],
    [t("machine.used"), machine.last_activity_at && ago(machine.last_activity_at, now.value)],
    [t("machine.stopReason"), machine.phase === "stopped" && isText(stopped) ? t(stopped) : null],
  ];
  const port = machine.ssh_port === 22 ? "" : ` -p ${machine.ssh_port}`;
  return (
    <section class="card">
      <h2>{t("machine.facts")}</h2>
      <dl class="facts">
        {facts.map(
          ([name, value]) =>
            value !== null && (
              <div key={name}>
                <dt>{name}</dt>
                <dd>{value}</dd>
              </div>
            ),
        )}
      </dl>
      {machine.external_url && (
        <a class="button" href={machine.external_url} target="_blank" rel="noopener noreferrer">
          {t("machine.openUrl")}
        </a>
      )}
      {machine.droplet_ip && (
        <CopyField label={t("machine.ssh")} value={`ssh ${machine.ssh_user}@${machine.droplet_ip}${port}`} />
      )}
      <p class="hint">
        {t("machine.sshHint")} <Link href="/settings/keys">{t("machine.sshKeys")}</Link>
      </p>
    </section>
  );
}
