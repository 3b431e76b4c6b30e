import { useLayoutEffect, useRef } from "preact/hooks";
import { isText, t } from "../../lib/i18n";
import type { LinkState } from "../../lib/link";
import type { LogLine } from "../../lib/log-lines";
import { Button } from "../../ui/button";
import { Notice } from "../../ui/notice";

const NEAR_PX = 40;

/** Lines with the newest below; who looks at the end stays there, and who has scrolled up isn't moved. */
export function LogLines({ lines, label }: { lines: LogLine[]; label: string }) {
  const box = useRef<HTMLDivElement>(null);
  const isAtEnd = useRef(true);
  useLayoutEffect(() => {
    if (box.current && isAtEnd.current) box.current.scrollTop = box.current.scrollHeight;
  }, [lines]);
  return (
    <section
      ref={box}
      class="log"
      aria-label={label}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by the keyboard
      tabIndex={0}
      onScroll={({ currentTarget: { scrollTop, scrollHeight, clientHeight } }) => {
        isAtEnd.current = scrollHeight - scrollTop - clientHeight < NEAR_PX;
      }}
    >
      {lines.length === 0 && <p class="hint">{t("logs.none")}</p>}
      {lines.map((line) => (
        <p key={line.number} class={line.level.toLowerCase()}>
          <time dateTime={line.at}>{clockTime(line.at)}</time> {line.level !== "INFO" && <b>{line.level} </b>}
          {line.text}
        </p>
      ))}
    </section>
  );
}

/** Hours, minutes and seconds here, for lines that are read one below the other. */
function clockTime(at: string): string {
  const time = new Date(at);
  return [time.getHours(), time.getMinutes(), time.getSeconds()].map((part) => String(part).padStart(2, "0")).join(":");
}

/** Nothing while lines come, or first try to. */
export function LogState({ state, onRetry }: { state: LinkState | null; onRetry(): void }) {
  if (state === null || state.kind === "open" || (state.kind === "connecting" && state.attempt < 2)) return null;
  if (state.kind === "waiting" && state.attempt < 2) return null;
  const name = `error.${state.kind === "ended" ? state.why : ""}`;
  return (
    <Notice kind="warn">
      <p>{isText(name) ? t(name) : state.kind === "ended" ? state.message : t("logs.lost")}</p>
      <Button icon="refresh" onClick={onRetry} disabled={state.kind === "connecting"}>
        {t("machines.connect")}
      </Button>
    </Notice>
  );
}
