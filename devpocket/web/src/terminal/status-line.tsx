import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { post } from "../lib/api";
import { say } from "../lib/errors";
import { isText, language, t } from "../lib/i18n";
import { findMachine } from "../lib/machines";
import { toast } from "../ui/toast";
import { copy, type Pane } from "./pane";

const PATIENCE_MS = 1_000; // a blink of the network needs no word
const SLOW_MS = 500;

/** The flag, once it has been up for so long. */
function useLasting(flag: boolean, ms: number): boolean {
  const [isLasting, setLasting] = useState(false);
  useEffect(() => {
    if (!flag) return setLasting(false);
    const timer = setTimeout(() => setLasting(true), ms);
    return () => clearTimeout(timer);
  }, [flag, ms]);
  return flag && isLasting;
}

function useSecondsUntil(time: number | null): number {
  const [, tick] = useState(0);
  useEffect(() => {
    if (time === null) return;
    const timer = setInterval(() => tick((count) => count + 1), 1000);
    return () => clearInterval(timer);
  }, [time]);
  return time === null ? 0 : Math.max(0, Math.ceil((time - Date.now()) / 1000));
}

/** Over the terminal's upper right, there only when there is something to say: the terminal keeps its size. */
export function StatusLine({ pane }: { pane: Pane }) {
  const { stream } = pane;
  const link = stream.link.value;
  const isAway = !stream.isAttached.value && stream.setup.value === null && stream.ended.value === null;
  const isAwayLong = useLasting(isAway, PATIENCE_MS);
  const waitsS = useSecondsUntil(isAwayLong && link.kind === "waiting" ? link.until : null);
  const guest = pane.place.isGuest;
  const lag = stream.lagMs.value;
  const items: ComponentChildren[] = [];

  if (isAwayLong && stream.isMachineAway.value) items.push(<span>{t("terminal.machineAway")}</span>);
  else if (isAwayLong && link.kind === "waiting")
    items.push(
      <span class="bad">
        {why(link.why)} {waitsS > 0 && t("terminal.again", { seconds: waitsS })}
      </span>,
      <Press onPress={() => stream.retry()}>{t("terminal.now")}</Press>,
    );
  else if (isAwayLong) items.push(<span>{t("terminal.connecting")}</span>);
  if (stream.unsent.value > 0) items.push(<span>{t("terminal.unsent", { count: stream.unsent.value })}</span>);
  if (stream.isAttached.value && lag !== null && lag > SLOW_MS)
    items.push(<span>{t("terminal.lag", { ms: Math.round(lag) })}</span>);
  if (stream.stopsAt.value !== null)
    items.push(
      <span class="warn">{t("terminal.stops", { time: clock(stream.stopsAt.value) })}</span>,
      guest ? null : <Press onPress={() => void extend(pane)}>{t("terminal.extend")}</Press>,
    );
  if (pane.offered.value !== null)
    items.push(
      <span>{t("terminal.offered")}</span>,
      <Press
        onPress={() => {
          void copy(pane.offered.value ?? "");
          pane.offered.value = null;
        }}
      >
        {t("common.copy")}
      </Press>,
    );
  if (pane.composing.value) items.push(<span class="composing">{pane.composing.value}</span>);

  return (
    <div class="status-line" role="status">
      {items}
    </div>
  );
}

/** What holds for as long as it is open. */
export function Marks({ pane: { stream } }: { pane: Pane }) {
  if (!stream.isAttached.value) return null;
  return (
    <p class="terminal-marks">
      {stream.mode.value === "view" && <span>{t("terminal.viewOnly")}</span>}
      {stream.isRecorded.value && <span class="recording">{t("terminal.recording")}</span>}
    </p>
  );
}

/** The machine's set-up goes on behind a terminal that works already. */
export function SettingUp({ pane: { place, stream } }: { pane: Pane }) {
  const machine = place.isGuest ? null : findMachine(place.environmentId);
  if (!machine || !stream.isAttached.value || machine.installation_completed || machine.phase !== "running")
    return null;
  const { progress, message } = machine.installation;
  return (
    <p class="setting-up">
      {t("terminal.stillSettingUp", { percent: progress })} {message}
    </p>
  );
}

function Press({ onPress, children }: { onPress(): void; children: ComponentChildren }) {
  return (
    <button type="button" onMouseDown={(event) => event.preventDefault()} onClick={onPress}>
      {children}
    </button>
  );
}

/** Why there is no connection, in a few words. */
function why(code: string): string {
  const own = `terminal.why.${code}`;
  return isText(own) ? t(own) : t("terminal.why.lost");
}

function clock(time: string): string {
  return new Intl.DateTimeFormat(language.value, { timeStyle: "short" }).format(new Date(time));
}

async function extend(pane: Pane): Promise<void> {
  try {
    await post(`/environments/${pane.place.environmentId}/extend`);
    pane.stream.extended();
  } catch (error) {
    toast(say(error), "bad");
  }
}
