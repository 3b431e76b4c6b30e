/** Names for new machines, so that nobody has to think of one. */

const FIRST = [
  "amber",
  "brisk",
  "calm",
  "clever",
  "coral",
  "early",
  "gentle",
  "green",
  "happy",
  "keen",
  "light",
  "lucky",
];
const SECOND = [
  "badger",
  "bamboo",
  "comet",
  "falcon",
  "harbour",
  "lotus",
  "maple",
  "otter",
  "river",
  "sparrow",
  "tiger",
];

/** One that none of `taken` has, whatever its case. `random`: 0 up to, but not, 1. */
export function suggestName(taken: readonly string[], random: () => number = Math.random): string {
  const pick = (words: readonly string[]) => words[Math.floor(random() * words.length)] as string;
  const used = new Set(taken.map((name) => name.toLowerCase()));
  const name = `${pick(FIRST)} ${pick(SECOND)}`;
  if (!used.has(name)) return name;
  let number = 2;
  while (used.has(`${name} ${number}`)) number += 1;
  return `${name} ${number}`;
}
