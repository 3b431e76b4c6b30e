import { expect, test } from "vitest";
import { safeNext, withNext } from "../src/lib/next";
import { brokenRules, isEmail, PASSWORD_RULES, usernameProblem } from "../src/lib/password";

test.each([
  ["Abcdefg1", []],
  ["", [...PASSWORD_RULES]],
  ["abcdefg1", ["upper"]],
  ["ABCDEFG1", ["lower"]],
  ["Abcdefgh", ["digit"]],
  ["Abcdef1", ["length"]],
  [`Aa1${"x".repeat(126)}`, ["length"]],
  [`Aa1${"😀".repeat(125)}`, []], // 128 characters, though JavaScript says 253
  ["Ườngđẹp1", []], // letters are letters in every language
  ["ườngđẹp1", ["upper"]],
] as const)("the password %j breaks %j", (password, rules) => {
  expect(brokenRules(password)).toEqual(rules);
});

test("a password must not have the username or the email's first part in it, in any case", () => {
  expect(brokenRules("xAnnika1x", { username: "annika" })).toEqual(["notYou"]);
  expect(brokenRules("xBERTA99x", { email: "berta@example.com" })).toEqual(["notYou"]);
  expect(brokenRules("Example.com1", { email: "berta@example.com" })).toEqual([]);
  expect(brokenRules("Something12", { username: "so" })).toEqual([]); // two letters are in nearly every password
  expect(brokenRules("Something12", { username: "", email: "@" })).toEqual([]);
});

test.each([
  ["ann", null],
  ["A_n-1", null],
  ["a".repeat(30), null],
  ["", "required"],
  ["an", "min_length"],
  ["a".repeat(31), "max_length"],
  ["ann b", "invalid"],
  ["ann\n", "invalid"],
  ["ánn", "invalid"],
])("the username %j is %s", (username, problem) => {
  expect(usernameProblem(username)).toBe(problem);
});

test("an email has a name, one @ and a domain with a dot", () => {
  for (const good of ["a@b.co", "first.last+tag@sub.example.org"]) expect(isEmail(good), good).toBe(true);
  const bad = ["", "a", "a@b", "a@@b.co", "a b@c.de", "a@b..co", "@b.co", `${"a".repeat(250)}@b.co`];
  for (const text of bad) expect(isEmail(text), text).toBe(false);
});

test.each([
  ["/", "/"],
  ["/machines/1/terminal?session=a#b", "/machines/1/terminal?session=a#b"],
  ["/verify?next=%2Fnew", "/verify?next=%2Fnew"],
  [null, "/"],
  ["", "/"],
  ["machines", "/"],
  ["https://elsewhere.example/", "/"],
  ["//elsewhere.example/", "/"],
  ["/\\elsewhere.example/", "/"],
  ["/\t/elsewhere.example/", "/"],
  ["\\\\elsewhere.example", "/"],
  ["javascript:alert(1)", "/"],
  ["/sign-in?next=/sign-in", "/"],
  ["/google", "/"],
  ["/../sign-up", "/"],
])("after signing in with next=%j it goes on at %j", (next, address) => {
  expect(safeNext(next)).toBe(address);
});

test("an address says where it will lead, and it is read back as it was", () => {
  expect(withNext("/sign-in", "/")).toBe("/sign-in");
  const address = withNext("/sign-in", "/machines/1?a=b&c=d");
  expect(new URL(address, "https://here.invalid").searchParams.get("next")).toBe("/machines/1?a=b&c=d");
});
