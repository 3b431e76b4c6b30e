/** A terminal that somebody works in: its screen, its stream, and what is typed, pasted and selected in it. */

import { type ReadonlySignal, signal } from "@preact/signals";
import { t } from "../lib/i18n";
import { socketUrl } from "../lib/link";
import { toast } from "../ui/toast";
import type { BarKey } from "./key-bar-keys";
import { isLatched, keyText, latches, type Modifier, pressLatch, takeModifiers, withLatches } from "./keys";
import { isComposing } from "./looks";
import { cleaned, lineCount } from "./paste";
import { Scroller } from "./scroll";
import { TouchSelection } from "./selection";
import { BINARY, type Notice, openStream, type TerminalStream } from "./stream";
import { View } from "./view";

/** Ends after which somebody has to sign in. */
export const SIGN_IN = new Set(["authentication_failed", "token_invalid", "token_expired", "not_authenticated"]);

export interface Place {
  environmentId: string;
  /** One of the machine's further sessions; null: its own. */
  session: string | null;
  isGuest: boolean;
  /** Who it is, anew for each try: what to add to the query, and sub-protocols. Raises: ApiError. */
  enter(): Promise<{ query?: Record<string, string>; protocols?: string[] }>;
}

/** What has to be asked before it is done. */
export type Question = { kind: "paste"; text: string } | { kind: "pasteByHand" } | { kind: "link"; address: string };

export class Pane {
  readonly view: View;
  readonly stream: TerminalStream;
  readonly selection: TouchSelection;
  readonly scroller: Scroller;
  readonly question = signal<Question | null>(null);
  /** A program has put it on the clipboard, for which the browser wants a press of somebody. */
  readonly offered = signal<string | null>(null);
  /** What an input method is composing and has not typed yet. */
  readonly composing = signal("");
  readonly title: ReadonlySignal<string>;
  /** Where Ctrl-Shift-M leads. */
  onLeave: () => void = () => undefined;

  constructor(readonly place: Place) {
    this.view = new View({
      onData: (text) => this.type(text),
      onResize: () => this.stream?.resized(),
      onCopyRefused: (text) => {
        this.offered.value = text;
      },
      onLink: (address, isShown) => this.openLink(address, isShown),
      onKey: (event) => this.key(event),
    });
    this.title = this.view.title;
    this.selection = new TouchSelection(this.view);
    this.scroller = new Scroller(this.view);
    this.stream = openStream({
      screen: this.view,
      onNotice: say,
      address: async (query) => {
        const session: Record<string, string> = place.session === null ? {} : { session: place.session };
        const who = await place.enter();
        return {
          url: socketUrl(`terminal/${place.environmentId}`, { ...session, ...query, ...who.query }),
          protocols: [BINARY, ...(who.protocols ?? [])],
        };
      },
    });
  }

  /** Somebody's typing, or an answer of the terminal to a program, which always begins with an escape. */
  type(text: string): void {
    const sent = withLatches(text);
    if (!sent.startsWith("\x1b")) this.scroller.toEnd();
    this.stream.type(sent);
  }

  /** By a phone's keyboard; true where a key of the key bar has changed it, so that no word goes on with it. */
  typeByField(text: string): boolean {
    const isChanged = isLatched();
    this.type(text);
    return isChanged;
  }

  /** A key of the key bar. */
  press(key: BarKey): void {
    if (key in latches) return pressLatch(key as Modifier);
    if (key === "paste") return void this.paste();
    if (key === "line") {
      isComposing.value = !isComposing.value;
      if (!isComposing.value) this.view.focus();
      return;
    }
    const [, control] = /^ctrl-(.)$/.exec(key) ?? [];
    const modifiers = takeModifiers();
    const isApplication = this.view.terminal.modes.applicationCursorKeysMode;
    this.type(keyText(control ?? key, control ? { ...modifiers, ctrl: true } : modifiers, isApplication));
  }

  /** Of a real keyboard. False: the terminal doesn't see it. */
  private key(event: KeyboardEvent): boolean {
    const { key, ctrlKey, shiftKey, altKey, metaKey, type } = event;
    const isDown = type === "keydown";
    if (ctrlKey && shiftKey && !altKey && !metaKey) {
      const letter = key.toLowerCase();
      if (letter === "v") return false; // the browser pastes
      if (letter === "c" || letter === "m") {
        event.preventDefault();
        if (isDown && letter === "c") this.copySelected();
        if (isDown && letter === "m") this.onLeave();
        return false;
      }
    }
    // As in other terminals: with something selected it copies, and the next one interrupts.
    if (ctrlKey && !shiftKey && !altKey && !metaKey && key === "c" && this.view.terminal.hasSelection()) {
      event.preventDefault();
      if (isDown) this.copySelected();
      return false;
    }
    if (isDown && isLatched() && key.length === 1 && !ctrlKey && !altKey && !metaKey) {
      event.preventDefault();
      this.type(key);
      return false;
    }
    return true;
  }

  private copySelected(): void {
    const text = this.view.terminal.getSelection();
    if (text !== "") void copy(text);
    this.selection.clear();
  }

  /** What is on the clipboard; where the browser doesn't give it, somebody pastes by hand. */
  async paste(): Promise<void> {
    let text: string;
    try {
      text = await navigator.clipboard.readText();
    } catch {
      this.question.value = { kind: "pasteByHand" };
      return;
    }
    this.pasteText(text);
  }

  pasteText(text: string): void {
    const clean = cleaned(text);
    if (clean === "") return;
    if (lineCount(clean) > 1 && !this.view.terminal.modes.bracketedPasteMode)
      this.question.value = { kind: "paste", text: clean };
    else this.putIn(clean);
  }

  /** As a paste, whatever it has in it. */
  putIn(text: string): void {
    this.scroller.toEnd();
    this.view.terminal.paste(text);
  }

  /** A program can hide where its link leads; then that is shown first. */
  private openLink(address: string, isShown: boolean): void {
    if (!/^https?:\/\//i.test(address)) return;
    if (isShown) open(address, "_blank", "noopener,noreferrer");
    else this.question.value = { kind: "link", address };
  }

  /** It is looked at again. Whoever had to sign in for it has done so. */
  wake(): void {
    const why = this.stream.ended.value?.why;
    if (this.stream.isResting() || (why !== undefined && SIGN_IN.has(why))) this.stream.retry();
  }

  close(): void {
    this.stream.close();
    this.view.close();
  }
}

export async function copy(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    toast(t("common.copied"));
  } catch {
    toast(t("terminal.copyRefused"), "bad");
  }
}

function say(notice: Notice): void {
  if (notice.kind === "full") return toast(t("terminal.full"), "bad");
  if (notice.kind === "lostOutput") return toast(t("terminal.lostOutput", { bytes: notice.characters }), "bad");
  if (notice.characters === 0) toast(t("terminal.newShell"));
  else toast(t("terminal.newShellDropped", { count: notice.characters }), "bad");
}
