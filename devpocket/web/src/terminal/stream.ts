/**
 * A terminal over as many WebSockets as it takes (docs/websocket-protocol.md): it goes on where it left off, output
 * comes once and in order, and so does what is typed, also while there is no connection.
 *
 * It draws nothing: bytes go to a `Screen`, everything else is in signals.
 */

import { computed, effect, type ReadonlySignal, signal } from "@preact/signals";
import { type Frame, type Link, type LinkState, openLink } from "../lib/link";
import type { Phase } from "../lib/types";
import { sent } from "./measure";
import { Outbox } from "./outbox";
import { Pace } from "./pace";

export const BINARY = "devpocket.v1.binary"; // output as it is, not as JSON
const RESET = "\x1bc"; // another stream draws everything anew
const FOCUS_REPORTS = ["\x1b[I", "\x1b[O"];
/**
 * The server sends as fast as the network takes it, since the browser answers its pings whatever the page does. So where
 * the screen is this far behind, the socket is left until most of it is drawn: the server keeps what comes meanwhile, and
 * stops the program when that is much.
 */
const BEHIND_BYTES = 1024 * 1024;
const CAUGHT_UP_BYTES = 128 * 1024;
const OLD_MS = 2_000; // typed text that is unacknowledged for so long is worth a word

export interface Screen {
  /** `done` when it is parsed. */
  write(data: Uint8Array | string, done: () => void): void;
  size(): { cols: number; rows: number };
}

export interface StreamOptions {
  /** Where to connect with this query, anew for each try. Raises: ApiError. */
  address(query: Record<string, string>): Promise<{ url: string; protocols: string[] }>;
  screen: Screen;
  /** Something to say in passing. */
  onNotice(notice: Notice): void;
}

export type Notice =
  | { kind: "newShell" | "lostOutput"; characters: number }
  /** More was typed than is kept: nothing of it was taken. */
  | { kind: "full" };

/** The machine as the welcome describes it. */
export interface Welcomed {
  id: string;
  name: string;
  phase: Phase;
}

export interface Setup {
  phase: Phase;
  message: string;
  progress: number;
}

export interface Ended {
  /** `session_ended`, `replaced`, or the code of a refusal. */
  why: string;
  message: string;
}

export interface TerminalStream {
  readonly link: ReadonlySignal<LinkState>;
  /** There is a shell, and what is typed goes to it. */
  readonly isAttached: ReadonlySignal<boolean>;
  /** It won't come back by itself. */
  readonly ended: ReadonlySignal<Ended | null>;
  readonly machine: ReadonlySignal<Welcomed | null>;
  readonly mode: ReadonlySignal<"write" | "view">;
  readonly isRecorded: ReadonlySignal<boolean>;
  /** How far a machine is that doesn't run yet. */
  readonly setup: ReadonlySignal<Setup | null>;
  /** A machine that ran doesn't answer; it is waited for. */
  readonly isMachineAway: ReadonlySignal<boolean>;
  /** When the machine is stopped for being idle, where that is near. */
  readonly stopsAt: ReadonlySignal<string | null>;
  /** Characters typed and not arrived, where that takes longer than usual. */
  readonly unsent: ReadonlySignal<number>;
  /** Milliseconds for a word to the server and back. */
  readonly lagMs: ReadonlySignal<number | null>;
  type(text: string): void;
  /** The screen has another size. */
  resized(): void;
  /** The warning was heeded. */
  extended(): void;
  /** Connect now. After the end of its shell that begins another one. */
  retry(): void;
  /** Leave the server, and keep everything for `retry`. */
  rest(): void;
  isResting(): boolean;
  close(): void;
}

interface Point {
  id: string;
  offset: number;
}

export function openStream({ address, screen, onNotice }: StreamOptions): TerminalStream {
  const outbox = new Outbox();
  const pace = new Pace();
  const link = signal<Link | null>(null);
  const isAttached = signal(false);
  const farewell = signal<Ended | null>(null);
  const machine = signal<Welcomed | null>(null);
  const mode = signal<"write" | "view">("write");
  const isRecorded = signal(false);
  const setup = signal<Setup | null>(null);
  const isMachineAway = signal(false);
  const stopsAt = signal<string | null>(null);
  const unsent = signal(0);
  const lagMs = signal<number | null>(null);
  let point: Point | null = null;
  let behind = 0; // bytes given to the screen and not yet parsed
  let isHeld = false; // the socket is left until the screen has caught up
  let isResting = false;
  let toldSize = ""; // on this socket
  let oldest: { seq: number; at: number } | null = null; // what waits for its acknowledgement the longest
  let pacing: ReturnType<typeof setTimeout> | undefined;
  let ageing: ReturnType<typeof setTimeout> | undefined;

  function connect(): void {
    link.value?.close();
    farewell.value = null;
    toldSize = "";
    pace.begin();
    link.value = openLink({
      address: () => address(point === null ? {} : { stream: point.id, offset: String(point.offset) }),
      onFrame: take,
      onBytes(data) {
        if (point !== null) point.offset += data.length;
        write(data);
      },
      onClose() {
        isAttached.value = false;
        toldSize = "";
        pace.begin(); // each socket has an allowance of its own
        count();
      },
    });
  }

  function write(data: Uint8Array | string): void {
    behind += data.length;
    if (behind > BEHIND_BYTES && !isHeld && !isResting) {
      isHeld = true;
      leave();
    }
    screen.write(data, () => {
      behind -= data.length;
      if (isHeld && behind < CAUGHT_UP_BYTES) {
        isHeld = false;
        if (!isResting) connect();
      }
    });
  }

  function leave(): void {
    link.peek()?.close();
    isAttached.value = false;
  }

  // --- From the server

  function take(frame: Frame): void {
    if (frame.type === "welcome") welcomed(frame);
    else if (frame.type === "output") {
      write(frame.data);
      if (point !== null) point.offset = frame.offset;
    } else if (frame.type === "ack") acknowledged(frame.seq);
    else if (frame.type === "status_update") status(frame);
    else if (frame.type === "info") told(frame);
    else if (frame.type === "error") refused(frame);
  }

  function welcomed(frame: Frame): void {
    machine.value = frame.environment;
    mode.value = frame.mode;
    isRecorded.value = frame.recording !== null;
    if (frame.mode === "view") forget();
    resized(); // before there is a shell: it begins with this size
    const given: Point | null = frame.stream;
    if (given !== null && (point === null || point.id === given.id)) attached(given, frame.input_seq);
    // Else `reattached` follows: only that says whether it is still the same shell.
    else if (given === null && frame.environment.phase !== "running")
      setup.value ??= { phase: frame.environment.phase, message: "", progress: 0 };
  }

  function attached(given: Point, applied: number): void {
    if (point !== null && point.id !== given.id) write(RESET);
    point = given;
    outbox.startOver(applied);
    oldest = null;
    setup.value = null;
    isMachineAway.value = false;
    isAttached.value = true;
    resized();
    flush();
  }

  function told(frame: Frame): void {
    if (frame.code === "reattached") {
      isRecorded.value = frame.recording !== null;
      if (frame.is_new_session) onNotice({ kind: "newShell", characters: forget() });
      attached(frame.stream, frame.input_seq);
      return;
    }
    if (frame.stream) point = frame.stream;
    if (frame.code === "lost_output") onNotice({ kind: "lostOutput", characters: frame.bytes });
    else if (frame.code === "machine_away") isMachineAway.value = true;
    else if (frame.code === "idle_warning") stopsAt.value = frame.stops_at;
    else if (frame.code === "session_ended" || frame.code === "replaced")
      farewell.value = { why: frame.code, message: frame.message };
  }

  function status(frame: Frame): void {
    if (machine.value) machine.value = { ...machine.value, phase: frame.status };
    if (isAttached.value || frame.status === "running") setup.value = null;
    else setup.value = { phase: frame.status, message: frame.message, progress: frame.progress };
  }

  function refused(frame: Frame): void {
    if (frame.code === "terminal_not_ready")
      isAttached.value = false; // `reattached` follows
    else if (frame.code === "rate_limited") pace.slowDown(frame.retry_after ?? 1);
    else if (frame.code === "view_only") {
      mode.value = "view";
      forget();
    }
  }

  // --- To the server

  function type(text: string): void {
    if (mode.value === "view" || ended.value?.why === "session_ended") return;
    // Nobody is there to be told now, and later it is no news.
    if (!isAttached.value && FOCUS_REPORTS.includes(text)) return;
    if (!outbox.put(text)) return onNotice({ kind: "full" });
    flush();
  }

  function flush(): void {
    clearTimeout(pacing);
    while (isAttached.value && link.value?.state.value.kind === "open") {
      const restMs = pace.restMs();
      if (restMs > 0) {
        pacing = setTimeout(flush, restMs);
        break;
      }
      const piece = outbox.next();
      if (piece === null) break;
      if (!link.value.send({ type: "input", data: piece.text, seq: piece.seq })) break; // its close comes in a moment
      sent();
      pace.sent(piece.text.length);
      oldest ??= { seq: piece.seq, at: performance.now() };
    }
    count();
  }

  function acknowledged(seq: number): void {
    outbox.acknowledged(seq);
    if (oldest !== null && oldest.seq <= seq) {
      lagMs.value = performance.now() - oldest.at;
      oldest = null;
    }
    flush();
  }

  /** What is on its way is told only when it takes long; what can't even be sent, at once. */
  function count(): void {
    if (outbox.length === 0 || !isAttached.value || unsent.value > 0) unsent.value = outbox.length;
    else
      ageing ??= setTimeout(() => {
        ageing = undefined;
        if (oldest !== null && performance.now() - oldest.at >= OLD_MS) unsent.value = outbox.length;
        else count();
      }, OLD_MS);
  }

  function forget(): number {
    const dropped = outbox.forget();
    count();
    return dropped;
  }

  /** Also where one may only look on: the stream draws for a window, and this is the one. */
  function resized(): void {
    const { cols, rows } = screen.size();
    const size = `${cols}x${rows}`;
    if (size === toldSize || link.value?.state.value.kind !== "open") return;
    if (link.value.send({ type: "resize", cols, rows })) toldSize = size;
  }

  const state = computed<LinkState>(() => {
    const now = link.value?.state.value ?? { kind: "connecting", attempt: 0 };
    return now.kind === "ended" && now.why === "closed" ? { kind: "connecting", attempt: 0 } : now;
  });
  const ended = computed<Ended | null>(() =>
    state.value.kind === "ended" ? (farewell.value ?? { why: state.value.why, message: state.value.message }) : null,
  );

  const unfollow = effect(() => {
    const pingMs = link.value?.lagMs.value ?? null;
    if (pingMs !== null) lagMs.value = pingMs;
  });
  connect();
  return {
    link: state,
    isAttached,
    ended,
    machine,
    mode,
    isRecorded,
    setup,
    isMachineAway,
    stopsAt,
    unsent,
    lagMs,
    type,
    resized,
    extended() {
      stopsAt.value = null;
    },
    retry() {
      if (isHeld) return; // it comes back when the screen has caught up
      if (ended.value !== null && farewell.value !== null) {
        forget(); // it was for a shell that is no more, or is somebody else's now
        point = null;
        write(RESET);
      }
      isResting = false;
      if (farewell.value !== null || link.value?.state.value.kind === "ended") connect();
      else link.value?.retry();
    },
    rest() {
      isResting = true;
      clearTimeout(pacing);
      leave();
    },
    isResting: () => isResting,
    close() {
      isResting = true;
      clearTimeout(pacing);
      clearTimeout(ageing);
      unfollow();
      leave();
    },
  };
}
