import { describe, expect, it } from "vitest";
import { cleaned, lineCount } from "../src/terminal/paste";
import { editOf } from "../src/terminal/phone-keyboard";
import { withEnd, wordAt } from "../src/terminal/selection";

describe("an edit of the phone's keyboard", () => {
  it.each([
    ["", "l", { erased: 0, typed: "l" }],
    ["l", "ls", { erased: 0, typed: "s" }],
    ["teh", "the", { erased: 2, typed: "he" }], // a correction
    ["gi", "git ", { erased: 0, typed: "t " }], // a suggestion
    ["vie", "việ", { erased: 1, typed: "ệ" }],
    ["ab", "a", { erased: 1, typed: "" }],
    ["a😀", "a", { erased: 1, typed: "" }], // one character, however many units
    ["ls", "ls", { erased: 0, typed: "" }],
  ])("from %j to %j", (before, after, edit) => {
    expect(editOf(before, after)).toEqual(edit);
  });

  it("leads from one text to the other, whatever they are", () => {
    const texts = ["", "a", "ab", "ba", "abc", "xbc", "đường", "duong", "👩‍💻 x"];
    for (const before of texts)
      for (const after of texts) {
        const { erased, typed } = editOf(before, after);
        const left = [...before].slice(0, [...before].length - erased).join("");
        expect(left + typed).toBe(after);
      }
  });
});

describe("pasted text", () => {
  it("has no keys in it and can't end its own paste", () => {
    expect(cleaned("a\x1b[201~b\x03c\x9bd")).toBe("a[201~bcd");
  });

  it("keeps lines, tabs and letters of all languages", () => {
    expect(cleaned("một\r\n\thai\rba")).toBe("một\n\thai\nba");
  });

  it("is as many lines as would be carried out", () => {
    expect([lineCount("ls"), lineCount("ls\n"), lineCount("a\nb\nc")]).toEqual([1, 1, 3]);
  });
});

describe("a selection by finger", () => {
  const line = [..."see /etc/ssh_config and   go"];

  it("begins with a word as it is copied", () => {
    const { start, end } = wordAt(line, 8);
    expect(line.slice(start, end).join("")).toBe("/etc/ssh_config");
  });

  it("takes a gap as a word", () => {
    expect(wordAt(line, 24)).toEqual({ start: 23, end: 26 });
  });

  it("goes on where its ends pass each other", () => {
    const range = { from: { col: 5, row: 2 }, to: { col: 9, row: 2 } };
    const moved = withEnd(range, "to", { col: 3, row: 1 });
    expect(moved).toEqual({ range: { from: { col: 3, row: 1 }, to: { col: 5, row: 2 } }, end: "from" });
  });
});
