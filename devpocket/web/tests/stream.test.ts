import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Notice, openStream, type TerminalStream } from "../src/terminal/stream";
import { FakeSocket, fakeBrowser, realBrowser, welcome } from "./fake-socket";

let written = "";
let parse: (() => void)[] = []; // what the screen has not parsed yet
let isSlow = false;
let notices: Notice[] = [];
let stream: TerminalStream;

async function open(): Promise<FakeSocket> {
  stream = openStream({
    address: async (query) => ({
      url: `wss://devpocket.test/terminal?${new URLSearchParams(query)}`,
      protocols: ["devpocket.v1.binary"],
    }),
    screen: {
      write(data, done) {
        written += typeof data === "string" ? data : new TextDecoder().decode(data);
        if (isSlow) parse.push(done);
        else done();
      },
      size: () => ({ cols: 80, rows: 24 }),
    },
    onNotice: (notice) => notices.push(notice),
  });
  await settle();
  return FakeSocket.last;
}

/** Addresses are asked for, and pauses end. */
async function settle(ms = 0): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
}

const typed = (socket: FakeSocket) => socket.of("input").map((frame) => [frame.seq, frame.data]);

beforeEach(() => {
  fakeBrowser();
  written = "";
  parse = [];
  isSlow = false;
  notices = [];
});
afterEach(() => {
  stream.close();
  realBrowser();
});

describe("a stream", () => {
  it("shows what comes, and tells its size and what is typed once there is a shell", async () => {
    const socket = await open();
    stream.type("ls");
    expect(socket.frames).toEqual([]);
    socket.tell(welcome());
    socket.bytes("$ ");
    expect(written).toBe("$ ");
    expect(socket.of("resize")).toEqual([{ type: "resize", cols: 80, rows: 24 }]);
    expect(typed(socket)).toEqual([[1, "ls"]]);
    expect(stream.isAttached.value).toBe(true);
  });

  it("goes on with the next byte after a lost connection, and sends again what was not applied", async () => {
    const socket = await open();
    socket.tell(welcome({ stream: { id: "s1", offset: 100 } }));
    socket.bytes("hello");
    stream.type("a");
    stream.type("b");
    socket.end(1006);
    expect(stream.isAttached.value).toBe(false);
    stream.type("c");
    await settle(1_000);
    const next = FakeSocket.last;
    expect(next).not.toBe(socket);
    expect(Object.fromEntries(next.query)).toEqual({ stream: "s1", offset: "105" });
    next.tell(welcome({ stream: { id: "s1", offset: 105 }, input_seq: 1 }));
    expect(typed(next)).toEqual([
      [2, "b"],
      [3, "c"],
    ]);
    expect(written).toBe("hello");
    next.tell({ type: "ack", seq: 3 });
    expect(stream.unsent.value).toBe(0);
  });

  it("begins a clean screen with another stream, and keeps what was typed for the same shell", async () => {
    const socket = await open();
    socket.tell(welcome());
    socket.bytes("old");
    stream.type("x");
    socket.end(1006);
    await settle(1_000);
    const next = FakeSocket.last;
    next.tell(welcome({ stream: { id: "s2", offset: 0 } }));
    expect(typed(next)).toEqual([]); // not before it is known whether it is the same shell
    next.tell({
      type: "info",
      code: "reattached",
      message: "",
      stream: { id: "s2", offset: 0 },
      is_new_session: false,
      recording: null,
      input_seq: 0,
    });
    next.bytes("new");
    expect(written).toBe("old\x1bcnew");
    expect(typed(next)).toEqual([[1, "x"]]);
  });

  it("drops what was typed for a shell that has ended, and says so", async () => {
    const socket = await open();
    socket.tell(welcome());
    stream.type("rm -r x\r");
    socket.end(1006);
    await settle(1_000);
    FakeSocket.last.tell(welcome({ stream: null }));
    FakeSocket.last.tell({
      type: "info",
      code: "reattached",
      message: "",
      stream: { id: "s2", offset: 0 },
      is_new_session: true,
      recording: null,
      input_seq: 0,
    });
    expect(typed(FakeSocket.last)).toEqual([]);
    expect(notices).toEqual([{ kind: "newShell", characters: 8 }]);
  });

  it("shows how far a machine is, and types when its shell is there", async () => {
    const socket = await open();
    socket.tell(welcome({ stream: null, environment: { id: "e", name: "First", phase: "installing" } }));
    socket.tell({ type: "status_update", status: "installing", message: "Installing core tools", progress: 42 });
    expect(stream.setup.value).toEqual({ phase: "installing", message: "Installing core tools", progress: 42 });
    stream.type("early");
    expect(typed(socket)).toEqual([]);
    socket.tell({
      type: "info",
      code: "reattached",
      message: "",
      stream: { id: "s1", offset: 0 },
      is_new_session: false,
      recording: null,
      input_seq: 0,
    });
    expect(stream.setup.value).toBeNull();
    expect(typed(socket)).toEqual([[1, "early"]]);
  });

  it("counts on from where the server says, when something was left out", async () => {
    const socket = await open();
    socket.tell(welcome());
    socket.bytes("abc");
    socket.tell({ type: "info", code: "left_out", message: "", stream: { id: "s1", offset: 10 } });
    socket.bytes("de");
    socket.end(1006);
    await settle(1_000);
    expect(FakeSocket.last.query.get("offset")).toBe("12");
  });

  it("types 100,000 characters in frames the server takes, each once and in order", async () => {
    const socket = await open();
    const text = Array.from({ length: 100_000 }, (_, at) => String(at % 10)).join("");
    socket.onFrame = (frame) => {
      if (frame.type === "input") queueMicrotask(() => socket.tell({ type: "ack", seq: frame.seq }));
    };
    socket.tell(welcome());
    stream.type(text);
    await settle();
    expect(
      typed(socket)
        .map(([, data]) => data)
        .join(""),
    ).toBe(text);
    expect(stream.unsent.value).toBe(0);
  });

  it("slows down when the server says so, and loses nothing", async () => {
    const socket = await open();
    socket.tell(welcome());
    socket.tell({ type: "error", code: "rate_limited", message: "", retry_after: 2 });
    stream.type("a");
    stream.type("b");
    expect(typed(socket)).toEqual([]);
    await settle(2_000);
    expect(typed(socket)).toEqual([[1, "ab"]]);
  });

  it("types nothing where it may only look on", async () => {
    const socket = await open();
    stream.type("x");
    socket.tell(welcome({ mode: "view" }));
    stream.type("y");
    expect(typed(socket)).toEqual([]);
    expect(socket.of("resize")).toHaveLength(1); // what it is shown is drawn for its window
    expect(stream.unsent.value).toBe(0);
  });

  it("leaves the server while the screen is far behind, and goes on where it left off", async () => {
    isSlow = true;
    const socket = await open();
    socket.tell(welcome());
    for (let sent = 0; sent < 20; sent++) socket.bytes("y".repeat(64 * 1024));
    const got = written.length;
    expect(got).toBeGreaterThan(1024 * 1024);
    expect(got).toBeLessThan(1.2 * 1024 * 1024);
    stream.type("\x03");
    await settle(60_000);
    expect(FakeSocket.last).toBe(socket);
    isSlow = false;
    for (const done of parse) done();
    await settle();
    const next = FakeSocket.last;
    expect(next).not.toBe(socket);
    expect(next.query.get("offset")).toBe(String(got));
    next.tell(welcome({ stream: { id: "s1", offset: got } }));
    expect(typed(next)).toEqual([[1, "\x03"]]);
  });

  it("rests while nobody looks, and comes back to the same place", async () => {
    const socket = await open();
    socket.tell(welcome());
    socket.bytes("abc");
    stream.rest();
    await settle(60_000);
    expect(FakeSocket.all).toHaveLength(1);
    stream.retry();
    await settle();
    expect(FakeSocket.last.query.get("offset")).toBe("3");
  });
});

describe("the end of a stream", () => {
  it.each([
    ["session_ended", 1000, { type: "info", code: "session_ended", message: "" }],
    ["replaced", 1000, { type: "info", code: "replaced", message: "" }],
    ["environment_not_running", 1008, { type: "error", code: "environment_not_running", message: "" }],
    ["share_ended", 1008, { type: "error", code: "share_ended", message: "" }],
    ["too_many_connections", 1008, { type: "error", code: "too_many_connections", message: "" }],
  ])("is told as %s", async (why, code, frame) => {
    const socket = await open();
    socket.tell(welcome());
    socket.tell(frame);
    socket.end(code);
    await settle(60_000);
    expect(FakeSocket.last).toBe(socket);
    expect(stream.ended.value?.why).toBe(why);
  });

  it("is known by its reason where no error says it", async () => {
    const socket = await open();
    socket.tell(welcome());
    socket.tell({ type: "status_update", status: "stopping", message: "", progress: 100 });
    socket.end(1008, "Environment not running");
    expect(stream.ended.value?.why).toBe("environment_not_running");
  });

  it.each([
    [1011, "ssh_failed"],
    [1011, "internal_error"],
    [1013, "service_unavailable"],
    [1008, "rate_limited"],
  ])("is none with %i %s: it tries again", async (code, why) => {
    const socket = await open();
    socket.tell({ type: "error", code: why, message: "", retry_after: 3 });
    socket.end(code);
    expect(stream.link.value).toMatchObject({ kind: "waiting", why });
    await settle(2_900);
    expect(FakeSocket.all).toHaveLength(1);
    await settle(200);
    expect(FakeSocket.all).toHaveLength(2);
  });

  it("is none when the server restarts: it comes back at once", async () => {
    const socket = await open();
    socket.tell(welcome());
    socket.end(1012);
    await settle();
    expect(FakeSocket.all).toHaveLength(2);
  });

  it("is none for an error that was told before the connection was lost", async () => {
    const socket = await open();
    socket.tell(welcome());
    socket.tell({ type: "error", code: "rate_limited", message: "", retry_after: 30 });
    socket.end(1006);
    expect(stream.link.value).toMatchObject({ kind: "waiting", why: "lost" });
  });

  it("keeps what was typed through signing in again", async () => {
    const socket = await open();
    socket.tell(welcome());
    stream.type("kept");
    for (const _ of [1, 2]) {
      FakeSocket.last.tell({ type: "error", code: "authentication_failed", message: "" });
      FakeSocket.last.end(1008, "Authentication failed");
      await settle(2_000);
    }
    expect(stream.ended.value?.why).toBe("authentication_failed");
    stream.retry();
    await settle();
    FakeSocket.last.tell(welcome());
    expect(typed(FakeSocket.last)).toEqual([[1, "kept"]]);
  });

  it("of a shell begins another one when that is asked for, without what was typed for the old one", async () => {
    const socket = await open();
    socket.tell(welcome());
    socket.tell({ type: "info", code: "session_ended", message: "" });
    socket.end(1000);
    stream.type("late");
    stream.retry();
    await settle();
    expect(FakeSocket.last.query.get("stream")).toBeNull();
    FakeSocket.last.tell(welcome({ stream: { id: "s2", offset: 0 } }));
    expect(typed(FakeSocket.last)).toEqual([]);
    expect(stream.ended.value).toBeNull();
  });
});

/** The server's side of the protocol: it applies each number once, and repeats what comes after an offset. */
class Shell {
  applied = "";
  seq = 0;
  output = "";

  serve(socket: FakeSocket): void {
    const offset = Number(socket.query.get("offset") ?? 0);
    socket.onFrame = (frame) => {
      if (frame.type !== "input" || (frame.seq as number) <= this.seq) return;
      this.seq = frame.seq as number;
      this.applied += frame.data;
      this.output += frame.data; // the echo
    };
    socket.tell(welcome({ stream: { id: "s1", offset }, input_seq: this.seq }));
  }
}

describe("a connection that is cut at any point", () => {
  it.each(Array.from({ length: 40 }, (_, seed) => seed))("loses and doubles nothing (%i)", async (seed) => {
    let state = seed * 7919 + 1;
    const chance = (below: number) => {
      state = (state * 1103515245 + 12345) % 2 ** 31; // the same numbers in each run
      return Math.floor((state / 2 ** 31) * below);
    };
    const shell = new Shell();
    shell.serve(await open());
    let shown = 0; // bytes of the output that this socket was given
    let all = "";
    for (let step = 0; step < 60; step++) {
      const socket = FakeSocket.last;
      const does = chance(5);
      if (does === 0) {
        const text = `<${step}>`;
        all += text;
        stream.type(text);
      } else if (does === 1) {
        const data = shell.output.slice(shown, shown + chance(9));
        socket.bytes(data);
        shown += data.length;
      } else if (does === 2) socket.tell({ type: "ack", seq: shell.seq });
      else if (does === 3 && stream.isAttached.value) {
        socket.onFrame = () => undefined; // what is typed from here on is lost on the way
        all += `[${step}]`;
        stream.type(`[${step}]`);
        socket.end(1006);
      } else if (!stream.isAttached.value) {
        await settle(30_000);
        shell.serve(FakeSocket.last);
        shown = Number(FakeSocket.last.query.get("offset"));
      }
    }
    if (!stream.isAttached.value) {
      await settle(30_000);
      shell.serve(FakeSocket.last);
      shown = Number(FakeSocket.last.query.get("offset"));
    }
    FakeSocket.last.bytes(shell.output.slice(shown));
    expect(shell.applied).toBe(all);
    expect(written).toBe(all);
  });
});
