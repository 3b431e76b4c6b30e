import { beforeEach, describe, expect, it } from "vitest";
import { keyText, latches, pressLatch, withLatches } from "../src/terminal/keys";

const plain = { ctrl: false, alt: false, shift: false };

describe("keys by name", () => {
  it.each([
    ["esc", plain, "\x1b"],
    ["up", plain, "\x1b[A"],
    ["pgup", plain, "\x1b[5~"],
    ["f1", plain, "\x1bOP"],
    ["f5", plain, "\x1b[15~"],
    ["left", { ...plain, ctrl: true }, "\x1b[1;5D"],
    ["left", { ...plain, alt: true }, "\x1b[1;3D"],
    ["delete", { ...plain, ctrl: true, shift: true }, "\x1b[3;6~"],
    ["tab", { ...plain, shift: true }, "\x1b[Z"],
    ["c", { ...plain, ctrl: true }, "\x03"],
    ["C", { ...plain, ctrl: true }, "\x03"],
    ["[", { ...plain, ctrl: true }, "\x1b"],
    ["space", { ...plain, ctrl: true }, "\0"],
    ["/", { ...plain, ctrl: true }, "\x1f"],
    ["b", { ...plain, alt: true }, "\x1bb"],
    ["x", { ...plain, ctrl: true, alt: true }, "\x1b\x18"],
    ["|", plain, "|"],
    ["1", { ...plain, ctrl: true }, "1"],
  ])("%s with %o sends %j", (key, modifiers, text) => {
    expect(keyText(key, modifiers)).toBe(text);
  });

  it("have another form in programs that ask for it, but not with modifiers", () => {
    expect(keyText("up", plain, true)).toBe("\x1bOA");
    expect(keyText("up", { ...plain, ctrl: true }, true)).toBe("\x1b[1;5A");
    expect(keyText("pgup", plain, true)).toBe("\x1b[5~");
  });
});

describe("the key bar's modifiers", () => {
  beforeEach(() => {
    for (const latch of Object.values(latches)) latch.value = "off";
  });

  it("hold for one key when they are pressed once", () => {
    pressLatch("ctrl");
    expect(withLatches("c")).toBe("\x03");
    expect(withLatches("c")).toBe("c");
  });

  it("hold until they are pressed again when they are pressed twice", () => {
    pressLatch("ctrl");
    pressLatch("ctrl");
    expect(withLatches("a") + withLatches("e")).toBe("\x01\x05");
    pressLatch("ctrl");
    expect(withLatches("a")).toBe("a");
  });

  it("add up", () => {
    pressLatch("ctrl");
    pressLatch("alt");
    expect(withLatches("x")).toBe("\x1b\x18");
  });

  it("wait for a key where a program is answered or a word comes at once", () => {
    pressLatch("alt");
    expect(withLatches("\x1b[?1;2c")).toBe("\x1b[?1;2c");
    expect(withLatches("word")).toBe("word");
    expect(withLatches("b")).toBe("\x1bb");
  });
});
