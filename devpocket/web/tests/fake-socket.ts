/** WebSockets without a network, and a terminal's server as docs/websocket-protocol.md describes it. */

import { vi } from "vitest";

type Frame = Record<string, unknown> & { type: string };

export class FakeSocket {
  static readonly OPEN = 1;
  static all: FakeSocket[] = [];
  static get last(): FakeSocket {
    const last = FakeSocket.all.at(-1);
    if (last === undefined) throw new Error("nothing has connected");
    return last;
  }

  readyState = FakeSocket.OPEN;
  bufferedAmount = 0;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  readonly frames: Frame[] = [];
  onFrame: (frame: Frame) => void = () => undefined;

  constructor(
    readonly url: string,
    readonly protocols: string[],
  ) {
    FakeSocket.all.push(this);
  }

  get query(): URLSearchParams {
    return new URL(this.url).searchParams;
  }

  of(type: string): Frame[] {
    return this.frames.filter((frame) => frame.type === type);
  }

  send(text: string): void {
    const frame = JSON.parse(text) as Frame;
    this.frames.push(frame);
    this.onFrame(frame);
  }

  close(): void {
    this.readyState = 3;
  }

  // --- The server's side

  tell(frame: Frame): void {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }

  bytes(text: string): void {
    this.onmessage?.({ data: new TextEncoder().encode(text).buffer });
  }

  end(code: number, reason = ""): void {
    this.readyState = 3;
    this.onclose?.({ code, reason });
  }
}

export function welcome(more: Record<string, unknown> = {}): Frame {
  return {
    type: "welcome",
    message: "Connected",
    mode: "write",
    recording: null,
    input_seq: 0,
    stream: { id: "s1", offset: 0 },
    environment: { id: "e", name: "First", phase: "running" },
    ...more,
  };
}

/** The browser as far as sockets need it; time stands still until a test moves it. */
export function fakeBrowser(): void {
  FakeSocket.all = [];
  vi.useFakeTimers();
  vi.stubGlobal("WebSocket", FakeSocket);
  vi.stubGlobal("document", {
    visibilityState: "visible",
    addEventListener: () => undefined,
    removeEventListener: () => undefined,
  });
  vi.stubGlobal("addEventListener", () => undefined);
  vi.stubGlobal("removeEventListener", () => undefined);
  vi.stubGlobal("location", { protocol: "https:", host: "devpocket.test" });
}

export function realBrowser(): void {
  vi.useRealTimers();
  vi.unstubAllGlobals();
}
