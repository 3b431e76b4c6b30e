import { useEffect, useRef } from "preact/hooks";
import { t } from "../lib/i18n";
import { BAR_KEYS, type BarKey, keyBar, REPEATING } from "./key-bar-keys";
import { latches, type Modifier } from "./keys";
import { isComposing } from "./looks";

const HOLD_MS = 400;
const REPEAT_MS = 60;

const NAMED = new Set<BarKey>(["left", "down", "up", "right", "paste", "line", "backspace", "enter"]);

/** What the key is called: signs have names, all else says it itself. */
export function keyLabel(key: BarKey): string {
  return NAMED.has(key) ? t(`terminal.key.${key as "left"}`) : BAR_KEYS[key];
}

export const keyFace = (key: BarKey): string => (key === "paste" ? t("terminal.key.paste") : BAR_KEYS[key]);

/** Keys that a phone's keyboard hasn't, above it. A press never takes the focus, or the keyboard would go away. */
export function KeyBar({ onPress }: { onPress(key: BarKey): void }) {
  return (
    <div class="key-bar" role="toolbar" aria-label={t("terminal.keyBar")} onKeyDown={walk}>
      {keyBar.value.map((key) => (
        <Key key={key} name={key} onPress={onPress} />
      ))}
    </div>
  );
}

/** From key to key with the arrows, as toolbars do. */
function walk(event: KeyboardEvent): void {
  const from = event.target as HTMLElement;
  const to = event.key === "ArrowLeft" ? from.previousSibling : event.key === "ArrowRight" ? from.nextSibling : null;
  if (!(to instanceof HTMLElement)) return;
  event.preventDefault();
  to.focus();
}

function Key({ name, onPress }: { name: BarKey; onPress(key: BarKey): void }) {
  const timer = useRef<ReturnType<typeof setTimeout>>();
  const hasRepeated = useRef(false);
  const latch = name in latches ? latches[name as Modifier].value : null;
  const isPressed = name === "line" ? isComposing.value : latch === null ? null : latch !== "off";

  function release(): void {
    clearTimeout(timer.current);
  }
  useEffect(() => release, []);

  function hold(): void {
    hasRepeated.current = false;
    if (!REPEATING.has(name)) return;
    const repeat = () => {
      hasRepeated.current = true;
      onPress(name);
      timer.current = setTimeout(repeat, REPEAT_MS);
    };
    timer.current = setTimeout(repeat, HOLD_MS);
  }

  return (
    <button
      type="button"
      class={`key ${latch ?? (isPressed ? "once" : "")}`}
      aria-label={latch === "locked" ? t("terminal.key.locked", { key: keyLabel(name) }) : keyLabel(name)}
      {...(isPressed === null ? {} : { "aria-pressed": isPressed })}
      onMouseDown={(event) => event.preventDefault()}
      onPointerDown={hold}
      onPointerUp={release}
      onPointerCancel={release}
      onPointerLeave={release}
      onContextMenu={(event) => event.preventDefault()}
      onClick={() => {
        if (!hasRepeated.current) onPress(name);
        hasRepeated.current = false;
      }}
    >
      {keyFace(name)}
    </button>
  );
}
