import "@xterm/xterm/css/xterm.css";
import "../styles/terminal.css";
import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { t } from "../lib/i18n";
import { fontPx, screenReader } from "../lib/prefs";
import { ComposedLine } from "./composed-line";
import { BeingPrepared, FirstConnection } from "./covers";
import { KeyBar } from "./key-bar";
import { hasKeyBar, isComposing, isPhone, setFont } from "./looks";
import { Menu } from "./menu";
import type { Pane } from "./pane";
import { followPhoneKeyboard } from "./phone-keyboard";
import { Questions } from "./questions";
import { SelectionLayer } from "./selection-layer";
import { Marks, SettingUp, StatusLine } from "./status-line";
import { followTouches } from "./touch";

const KEYBOARD_PX = 120; // a keyboard takes at least so much of the screen

/** The terminal and all that belongs to it, on all of the screen that the keyboard leaves. */
export function Frame({
  pane,
  header,
  cover,
}: {
  pane: Pane;
  header: ComponentChildren;
  /** In place of the terminal, once it has ended. */
  cover: ComponentChildren;
}) {
  const root = useRef<HTMLDivElement>(null);
  const place = useRef<HTMLDivElement>(null);
  const { stream, view } = pane;
  useVisibleArea(root);

  useLayoutEffect(() => {
    view.show(place.current as HTMLElement);
    pane.onLeave = () => root.current?.querySelector<HTMLElement>(".terminal-bar button, .terminal-bar a")?.focus();
    pane.wake();
    view.focus();
    return follow(pane);
  }, [pane]);
  useEffect(() => {
    // What was pressed to come here (start, try again) is gone, and the focus with it.
    if (stream.isAttached.value && document.activeElement === document.body) view.focus();
  }, [pane, stream.isAttached.value]);
  useEffect(() => {
    view.terminal.options.disableStdin = stream.mode.value === "view";
  }, [pane, stream.mode.value]);

  const isNew = stream.machine.value === null && stream.ended.value === null && stream.link.value.kind !== "waiting";
  return (
    <div class="terminal-screen" ref={root}>
      <header class="terminal-bar">
        {header}
        <Marks pane={pane} />
        <Menu pane={pane} />
      </header>
      <main id="main" class="terminal-main" aria-label={t("terminal.title")} tabIndex={-1}>
        <div class="terminal-place" ref={place} />
        <SelectionLayer pane={pane} />
        {stream.setup.value !== null && <BeingPrepared pane={pane} setup={stream.setup.value} />}
        <StatusLine pane={pane} />
        {isNew && <FirstConnection />}
        {stream.ended.value !== null && cover}
      </main>
      <footer class="terminal-foot">
        <SettingUp pane={pane} />
        {stream.mode.value === "write" && isComposing.value && <ComposedLine pane={pane} />}
        {stream.mode.value === "write" && hasKeyBar() && <KeyBar onPress={(key) => pane.press(key)} />}
      </footer>
      <Questions pane={pane} />
    </div>
  );
}

/** Fingers, the phone's keyboard and pastes, for as long as the pane is shown. */
function follow(pane: Pane): () => void {
  const { view } = pane;
  const rowPx = () => view.grid().height / view.size().rows;
  let startPx = fontPx.peek();
  let end: "from" | "to" = "to";
  let tallest = 0;
  const untouch = followTouches(view.element, {
    onScroll: (px, x, y) => pane.scroller.by(px / rowPx(), x, y),
    onPinch(share, phase) {
      if (phase === "begin") startPx = fontPx.value;
      else setFont(startPx * share);
    },
    onLongPress(x, y) {
      navigator.vibrate?.(10);
      end = "to";
      pane.selection.begin(view.cellAt(x, y));
    },
    onDrag(x, y) {
      end = pane.selection.move(end, view.cellAt(x, y));
    },
    onTap() {
      pane.selection.clear();
      // A field that has the focus already brings no keyboard back that was put away.
      tallest = Math.max(tallest, innerHeight);
      const field = view.terminal.textarea;
      if (document.activeElement === field && tallest - (visualViewport?.height ?? innerHeight) < KEYBOARD_PX)
        field?.blur();
    },
  });
  const paste = (event: ClipboardEvent) => {
    event.preventDefault();
    event.stopImmediatePropagation();
    pane.pasteText(event.clipboardData?.getData("text/plain") ?? "");
  };
  view.element.addEventListener("paste", paste, { capture: true });
  const field = view.terminal.textarea;
  const unfollow =
    isPhone && field
      ? followPhoneKeyboard(view.element, field, {
          onType: (text) => pane.typeByField(text),
          onCompose(text) {
            pane.composing.value = text;
          },
          isReadOut: () => screenReader.value,
        })
      : null;
  return () => {
    view.element.remove();
    untouch();
    unfollow?.();
    view.element.removeEventListener("paste", paste, { capture: true });
  };
}

/** As high as what the keyboard leaves, and where that is: not every browser makes the page smaller. */
function useVisibleArea(root: { current: HTMLDivElement | null }): void {
  useLayoutEffect(() => {
    const area = visualViewport;
    if (!area) return;
    const place = () => {
      root.current?.style.setProperty("--visible-height", `${area.height}px`);
      root.current?.style.setProperty("--visible-top", `${area.offsetTop}px`);
    };
    place();
    area.addEventListener("resize", place);
    area.addEventListener("scroll", place);
    document.documentElement.classList.add("has-terminal");
    return () => {
      area.removeEventListener("resize", place);
      area.removeEventListener("scroll", place);
      document.documentElement.classList.remove("has-terminal");
    };
  }, [root]);
}
