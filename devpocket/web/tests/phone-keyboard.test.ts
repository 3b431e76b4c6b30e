import { beforeEach, expect, it } from "vitest";
import { followPhoneKeyboard } from "../src/terminal/phone-keyboard";

/** A text field as far as a keyboard needs it; its events go to what is around it first. */
const field = {
  value: "",
  setSelectionRange: () => undefined,
};
let around: EventTarget;
let typed = "";
let composing = "";
let endsWord = false;
let isReadOut = false;

function tell(name: string, more: object = {}): void {
  around.dispatchEvent(Object.assign(new Event(name), more));
}

/** An edit as a phone's keyboard makes it. */
function edit(value: string): void {
  tell("keydown", { keyCode: 229 });
  tell("beforeinput");
  field.value = value;
  tell("input");
  tell("keyup", { keyCode: 229 });
}

/** A word in the making: each state of it, and what it becomes. */
function compose(states: string[], chosen: string): void {
  tell("keydown", { keyCode: 229 });
  tell("compositionstart");
  const before = field.value;
  for (const state of [...states, chosen]) {
    tell("beforeinput");
    tell("compositionupdate", { data: state });
    field.value = before + state;
    tell("input");
  }
  tell("compositionend", { data: chosen });
}

beforeEach(() => {
  around = new EventTarget();
  typed = "";
  composing = "";
  endsWord = false;
  isReadOut = false;
  field.value = "";
  followPhoneKeyboard(around as HTMLElement, field as unknown as HTMLTextAreaElement, {
    onType(text) {
      typed += text;
      return endsWord;
    },
    onCompose(text) {
      composing = text;
    },
    isReadOut: () => isReadOut,
  });
  tell("focusin");
});

it("types each letter once as a word grows, and mends it by erasing", () => {
  compose(["v", "vi", "vie"], "việ");
  expect(typed).toBe("vie\x7fệ");
});

it("types what a suggestion adds", () => {
  edit(`${field.value}gi`);
  edit(`${field.value}t status `);
  expect(typed).toBe("git status ");
});

it("always has something to erase", () => {
  for (let press = 0; press < 9; press++) edit(field.value.slice(0, -1));
  expect(typed).toBe("\x7f".repeat(9));
});

it("takes no letter for erased that the terminal has emptied the field of", () => {
  edit(`${field.value}ls`);
  field.value = ""; // Enter
  compose(["c"], "cd");
  expect(typed).toBe("lscd");
});

it("types what is chosen among characters when it is chosen", () => {
  tell("compositionstart");
  const before = field.value;
  for (const state of ["に", "にほ"]) {
    tell("compositionupdate", { data: state });
    field.value = before + state;
    tell("input");
  }
  expect([typed, composing]).toEqual(["", "にほ"]);
  field.value = `${before}日本`;
  tell("compositionend", { data: "日本" });
  expect([typed, composing]).toEqual(["日本", ""]);
});

it("leaves to the terminal what real keys type, also where that stays in the field", () => {
  tell("keydown", { keyCode: 32 });
  tell("keypress");
  field.value += " ";
  tell("input");
  isReadOut = true;
  tell("keydown", { keyCode: 76 });
  field.value += "l";
  tell("input");
  expect(typed).toBe("");
  tell("keyup", { keyCode: 76 });
  edit(`${field.value}s`);
  expect(typed).toBe("s");
});

it("begins another word where the key bar has changed a letter", () => {
  endsWord = true;
  tell("compositionstart");
  tell("beforeinput");
  field.value += "c";
  tell("input");
  expect([typed, field.value.trim()]).toEqual(["c", ""]);
});

it("takes a line break for Enter", () => {
  edit(`${field.value}ls\n`);
  expect(typed).toBe("ls\r");
});
