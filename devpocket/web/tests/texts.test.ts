import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { en } from "../src/texts/en";
import { vi } from "../src/texts/vi";

const SRC = join(import.meta.dirname, "../src");
const code = (readdirSync(SRC, { recursive: true }) as string[])
  .filter((name) => /\.tsx?$/.test(name) && !name.startsWith("texts"))
  .map((name) => readFileSync(join(SRC, name), "utf8"))
  .join("\n");

const keys = Object.keys(en);
const areas = [...new Set(keys.map((key) => key.split(".", 1)[0]))].join("|");
/** Whole keys, and the beginnings of those that are put together: t(`machines.phase.${phase}`). */
const named = new Set(
  [...code.matchAll(new RegExp(`["'\`]((?:${areas})\\.[\\w.-]+)["'\`]`, "g"))].map(([, key]) => key),
);
const begun = [...code.matchAll(new RegExp(`\`((?:${areas})\\.[\\w.-]*)\\$\\{`, "g"))].map(
  ([, prefix]) => prefix ?? "",
);

test("no text is in two areas", () => {
  const folder = join(SRC, "texts/en");
  const written = readdirSync(folder).flatMap((name) =>
    [...readFileSync(join(folder, name), "utf8").matchAll(/^ {2}"([\w.-]+)":/gm)].map(([, key]) => key),
  );
  expect(written.sort()).toEqual([...keys].sort());
});

test("every text is used", () => {
  const unused = keys.filter((key) => !named.has(key) && !begun.some((prefix) => key.startsWith(prefix)));
  expect(unused).toEqual([]);
});

test("every text that is used exists", () => {
  const missing = [...named].filter((key) => !(`${key}` in en));
  expect(missing).toEqual([]);
  const leadNowhere = begun.filter((prefix) => !keys.some((key) => key.startsWith(prefix)));
  expect(leadNowhere).toEqual([]);
});

/** Names, which are the same in both; without them, what is left must differ. */
const NAMES =
  /\b(DevPocket|SSH|Linux|Google|CPU|RAM|GB|MB|MiB|KiB|Email|email|tmux|URL|Git|GitHub|Ctrl|Alt|Shift|Esc|Tab|Home|End|PgUp|PgDn|Cmd|Meta|OK|Docker|IP|UTC|ID)\b/g;

test("Vietnamese says what English says, in Vietnamese", () => {
  const same = keys.filter((key) => {
    const [one, other] = [en, vi].map((texts) => texts[key as keyof typeof en]);
    const words = one?.replace(/\{\w+\}/g, "").replace(NAMES, "");
    return one === other && /\p{L}{2,}/u.test(words ?? "");
  });
  expect(same).toEqual([]);
});

test("both have the same places to fill in, and say something", () => {
  const places = (text: string) => [...new Set([...text.matchAll(/\{\w+\}/g)].map(([place]) => place))].sort();
  for (const key of keys as (keyof typeof en)[]) {
    expect(places(vi[key]), key).toEqual(places(en[key]));
    expect(vi[key].trim() && en[key].trim(), key).not.toBe("");
  }
});
