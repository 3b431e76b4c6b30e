import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const css = readFileSync(join(import.meta.dirname, "../src/styles/tokens.css"), "utf8");

function tokens(theme: "light" | "dark"): Record<string, string> {
  const block = css.split(`:root[data-theme="${theme}"] {`)[1]?.split("}")[0] ?? "";
  return Object.fromEntries(
    [...block.matchAll(/--([\w-]+): (#[0-9a-f]{6});/g)].map(([, name, value]) => [name, value]),
  );
}

/** WCAG 2.2, "relative luminance". */
function luminance(colour: string): number {
  const [red, green, blue] = [1, 3, 5].map((at) => {
    const part = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one: string, other: string): number {
  const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b) as [number, number];
  return (light + 0.05) / (dark + 0.05);
}

const GROUNDS = ["ground", "card", "raised"];
const PAIRS: [string, string, number][] = [
  ...["text", "dim", "accent", "bad", "good", "warn"].flatMap((ink) =>
    GROUNDS.map((ground): [string, string, number] => [ink, ground, 4.5]),
  ),
  ...["good", "warn", "bad"].map((kind): [string, string, number] => [kind, `${kind}-ground`, 4.5]),
  ["text", "info-ground", 4.5],
  ["accent", "info-ground", 3], // the focus ring
  ["on-accent", "accent", 4.5],
  ...GROUNDS.map((ground): [string, string, number] => ["edge", ground, 3]), // borders of what can be used
];

test.each(["light", "dark"] as const)("%s: texts and borders stand out (WCAG 2.2, 1.4.3 and 1.4.11)", (theme) => {
  const colours = tokens(theme);
  const faint = PAIRS.filter(([ink, ground, least]) => contrast(colours[ink] ?? "", colours[ground] ?? "") < least);
  expect(faint).toEqual([]);
});
