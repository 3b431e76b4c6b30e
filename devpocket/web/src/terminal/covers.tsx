/** What is over the terminal while there is none: it is being prepared, or has ended. */

import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { isText, t } from "../lib/i18n";
import { useLogs } from "../lib/log-stream";
import { Button } from "../ui/button";
import { Progress, Spinner } from "../ui/notice";
import type { Pane } from "./pane";
import type { Ended, Setup } from "./stream";

const LOG_LINES = 200;
const SET_UP = new Set(["installing", "configuring"]);
const OF_SET_UP = new Set(["cloud-init", "install"]); // sources of a log's lines

export function FirstConnection() {
  return (
    <div class="cover">
      <Spinner label={t("terminal.connecting")} />
    </div>
  );
}

export function BeingPrepared({ pane, setup }: { pane: Pane; setup: Setup }) {
  return (
    <div class="cover" role="status">
      <h2>{t("terminal.preparing", { name: pane.stream.machine.value?.name ?? "" })}</h2>
      <p>{setup.message || t("terminal.preparingLong")}</p>
      <Progress percent={setup.progress} label={t("terminal.progress")} />
      {!pane.place.isGuest && SET_UP.has(setup.phase) && <InstallLog environmentId={pane.place.environmentId} />}
    </div>
  );
}

/** What the machine says of its own set-up, as it says it. */
function InstallLog({ environmentId }: { environmentId: string }) {
  const lines = useLogs(environmentId).lines.filter((line) => OF_SET_UP.has(line.source));
  const box = useRef<HTMLPreElement>(null);
  useEffect(() => {
    if (box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [lines.length]);
  if (lines.length === 0) return null;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, also by the keyboard
    <pre class="install-log" ref={box} tabIndex={0} role="log" aria-label={t("terminal.installLog")}>
      {lines
        .slice(-LOG_LINES)
        .map((line) => line.text)
        .join("\n")}
    </pre>
  );
}

/** `children`: ways on that belong to this end. */
export function HasEnded({ ended, children }: { ended: Ended; children: ComponentChildren }) {
  const name = `terminal.ended.${ended.why}`;
  return (
    <div class="cover" role="alert">
      <p>{isText(name) ? t(name) : ended.message || t("terminal.ended.other")}</p>
      <div class="buttons">{children}</div>
    </div>
  );
}

export function Again({
  pane,
  label = "common.retry",
}: {
  pane: Pane;
  label?: "common.retry" | "terminal.newShellNow" | "terminal.takeBack";
}) {
  return (
    <Button
      kind="main"
      icon="refresh"
      onClick={() => {
        pane.stream.retry();
        pane.view.focus(); // the button goes
      }}
    >
      {t(label)}
    </Button>
  );
}
