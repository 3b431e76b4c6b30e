import { describe, expect, it } from "vitest";
import { OUTBOX_CHARACTERS, Outbox } from "../src/terminal/outbox";

function sendAll(outbox: Outbox): string {
  let text = "";
  for (let piece = outbox.next(); piece !== null; piece = outbox.next()) {
    text += piece.text;
    outbox.acknowledged(piece.seq);
  }
  return text;
}

describe("what was typed and has not arrived", () => {
  it("comes out in the order it went in, in pieces that fit a message", () => {
    const outbox = new Outbox();
    const text = Array.from({ length: 100_000 }, (_, at) => String.fromCharCode(97 + (at % 26))).join("");
    outbox.put(text);
    const first = outbox.next();
    expect(JSON.stringify({ data: "\u0001".repeat(first?.text.length ?? 0) }).length).toBeLessThan(64 * 1024);
    outbox.startOver(0);
    expect(sendAll(outbox)).toBe(text);
    expect(outbox.length).toBe(0);
  });

  it("is sent again with its number when the connection broke, and not when it was applied", () => {
    const outbox = new Outbox();
    outbox.put("one");
    const one = outbox.next();
    outbox.put("two");
    const two = outbox.next();
    outbox.put("three");
    outbox.startOver(one?.seq ?? 0);
    expect(outbox.next()).toEqual(two);
    expect(outbox.next()?.text).toBe("three");
    expect(outbox.next()).toBeNull();
  });

  it("is forgotten by acknowledgements that come twice or speak for many", () => {
    const outbox = new Outbox();
    for (const text of ["a", "b", "c"]) {
      outbox.put(text);
      outbox.next();
    }
    outbox.acknowledged(2);
    outbox.acknowledged(2);
    outbox.acknowledged(1);
    expect(outbox.length).toBe(1);
    outbox.startOver(0);
    expect(outbox.next()?.text).toBe("c");
  });

  it("cuts no character in two", () => {
    const outbox = new Outbox();
    const text = `${"a".repeat(8191)}😀b`;
    outbox.put(text);
    const first = outbox.next();
    expect(first?.text).toBe("a".repeat(8191));
    expect(outbox.next()?.text).toBe("😀b");
  });

  it("leaves no more on its way than a slow connection takes", () => {
    const outbox = new Outbox();
    outbox.put("x".repeat(100_000));
    let sent = 0;
    for (let piece = outbox.next(); piece !== null; piece = outbox.next()) sent += piece.text.length;
    expect(sent).toBeLessThan(48 * 1024);
    expect(outbox.length).toBe(100_000);
  });

  it("takes all of a text or nothing of it", () => {
    const outbox = new Outbox();
    expect(outbox.put("x".repeat(OUTBOX_CHARACTERS))).toBe(true);
    expect(outbox.put("y")).toBe(false);
    expect(outbox.length).toBe(OUTBOX_CHARACTERS);
  });
});
