/** xterm.js as this app uses it: one screen, in an element of its own that can be shown here and there. */

import { effect, type ReadonlySignal, signal } from "@preact/signals";
import { ClipboardAddon } from "@xterm/addon-clipboard";
import { FitAddon } from "@xterm/addon-fit";
import { UnicodeGraphemesAddon } from "@xterm/addon-unicode-graphemes";
import { WebLinksAddon } from "@xterm/addon-web-links";
import type { WebglAddon } from "@xterm/addon-webgl";
import { Terminal } from "@xterm/xterm";
import { fontPx, isDark, screenReader } from "../lib/prefs";
import { DrawClock, pressed } from "./measure";
import { themeOf } from "./theme";

const SCROLLBACK = 5000; // lines; of a plain shell: tmux has a history of its own
const RESIZE_MS = 80; // the phone's keyboard comes and goes in many steps
/** Selection, search and other motions of xterm.js take what is below; a font that isn't monospaced would overlap. */
const FONT = 'ui-monospace, "SF Mono", "Cascadia Mono", "Roboto Mono", Menlo, Consolas, "Noto Sans Mono", monospace';

const TO_CLIPBOARD = new Set<string>(["c", ""]); // of OSC 52; tmux names none

export interface Cell {
  col: number;
  row: number; // of what is visible, from 0
}

export interface ViewEvents {
  /** Typed by somebody, or answered by the terminal to a program. */
  onData(text: string): void;
  onResize(): void;
  /** A program puts a text on the clipboard, and the browser doesn't allow it without a press of somebody. */
  onCopyRefused(text: string): void;
  /** `isShown`: the address is what is on the screen. */
  onLink(address: string, isShown: boolean): void;
  /** Return false for a key that the terminal must not see. */
  onKey(event: KeyboardEvent): boolean;
}

/** Around the terminal; `terminal` is for tests, which read the screen by it. */
export type Host = HTMLDivElement & { terminal?: Terminal };

export class View {
  readonly element: Host = document.createElement("div");
  readonly terminal: Terminal;
  readonly title: ReadonlySignal<string>;
  private readonly fitting = new FitAddon();
  private readonly clock = new DrawClock();
  private readonly observer: ResizeObserver;
  private readonly undo: (() => void)[] = [];
  private fitTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(events: ViewEvents) {
    this.element.className = "terminal-host";
    const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.terminal = new Terminal({
      allowProposedApi: true, // for the add-on of graphemes
      cursorBlink: !isCalm,
      fontFamily: FONT,
      fontSize: fontPx.peek(),
      scrollback: SCROLLBACK,
      screenReaderMode: screenReader.peek(),
      minimumContrastRatio: 4.5, // WCAG 2.2, AA: also what programs choose of 16 million colours
      macOptionClickForcesSelection: true,
      theme: themeOf(isDark.peek()),
      linkHandler: { activate: (_, address) => events.onLink(address, false) },
    });
    const { terminal } = this;
    this.element.terminal = terminal;
    terminal.loadAddon(this.fitting);
    terminal.loadAddon(new UnicodeGraphemesAddon());
    terminal.loadAddon(new WebLinksAddon((_, address) => events.onLink(address, true)));
    terminal.loadAddon(
      new ClipboardAddon(undefined, {
        readText: () => "", // no program reads what somebody has copied elsewhere
        async writeText(which, text) {
          if (!TO_CLIPBOARD.has(which) || text === "") return;
          await navigator.clipboard.writeText(text).catch(() => events.onCopyRefused(text));
        },
      }),
    );
    terminal.attachCustomKeyEventHandler((event) => {
      if (event.type === "keydown") pressed(event);
      return events.onKey(event);
    });
    terminal.onData((text) => events.onData(text));
    terminal.onResize(() => events.onResize());
    terminal.onRender(() => this.clock.drawn());
    const title = signal("");
    this.title = title;
    terminal.onTitleChange((text) => {
      title.value = text;
    });
    this.observer = new ResizeObserver(() => this.fitSoon());
    this.observer.observe(this.element);
  }

  /** Show it in `parent`; xterm.js measures there, so that the first time it has to be in the page. */
  show(parent: HTMLElement): void {
    parent.append(this.element);
    if (this.terminal.element === undefined) this.open();
    this.fit();
  }

  private open(): void {
    const { terminal } = this;
    terminal.open(this.element);
    void this.useGraphics();
    this.undo.push(
      effect(() => {
        terminal.options.theme = themeOf(isDark.value);
      }),
      effect(() => {
        terminal.options.fontSize = fontPx.value;
        this.fitSoon();
      }),
      effect(() => {
        terminal.options.screenReaderMode = screenReader.value;
      }),
    );
  }

  /** Draw by the graphics processor where there is one; it may be taken away at any time. */
  private async useGraphics(): Promise<void> {
    try {
      const { WebglAddon } = await import("@xterm/addon-webgl");
      const graphics = new WebglAddon();
      graphics.onContextLoss(() => graphics.dispose());
      this.terminal.loadAddon(graphics);
      this.doubt(graphics);
    } catch {
      // None, or no network to fetch the add-on: it draws by elements, which it does anyway.
    }
  }

  /**
   * The add-on gives its canvas as many pixels as the browser says that it takes on the screen. Where those are others
   * than the page counts with (an emulated screen), it would draw beside the canvas: nothing at all would be seen.
   */
  private doubt(graphics: WebglAddon): void {
    const canvas = this.element.querySelector(".xterm-screen canvas:not(.xterm-link-layer)");
    if (canvas === null || !("devicePixelContentBoxSize" in ResizeObserverEntry.prototype)) return;
    const pixels = new ResizeObserver(([entry]) => {
      const taken = entry?.devicePixelContentBoxSize[0]?.inlineSize ?? 0;
      if (taken > 0 && Math.abs(taken - (entry?.contentRect.width ?? 0) * devicePixelRatio) > 2) graphics.dispose();
    });
    pixels.observe(canvas, { box: "device-pixel-content-box" });
    this.undo.push(() => pixels.disconnect());
  }

  private fitSoon(): void {
    clearTimeout(this.fitTimer);
    this.fitTimer = setTimeout(() => this.fit(), RESIZE_MS);
  }

  fit(): void {
    if (this.element.offsetWidth > 0) this.fitting.fit();
  }

  write(data: Uint8Array | string, done: () => void): void {
    this.clock.received();
    this.terminal.write(data, () => {
      this.clock.parsed();
      done();
    });
  }

  size(): { cols: number; rows: number } {
    return { cols: this.terminal.cols, rows: this.terminal.rows };
  }

  /** The cell at a point of the window, the nearest one where it is outside. */
  cellAt(x: number, y: number): Cell {
    const box = this.grid();
    const { cols, rows } = this.terminal;
    const within = (value: number, end: number) => Math.max(0, Math.min(end - 1, Math.floor(value)));
    return {
      col: within((x - box.left) / (box.width / cols), cols),
      row: within((y - box.top) / (box.height / rows), rows),
    };
  }

  /** Where the cells are, in the window. */
  grid(): DOMRect {
    return (this.element.querySelector(".xterm-screen") ?? this.element).getBoundingClientRect();
  }

  focus(): void {
    this.terminal.focus();
  }

  close(): void {
    clearTimeout(this.fitTimer);
    this.observer.disconnect();
    for (const undo of this.undo) undo();
    this.terminal.dispose();
    this.element.remove();
  }
}
