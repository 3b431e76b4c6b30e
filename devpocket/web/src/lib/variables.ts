/** Environment variables as they are edited. The rules: contract 5.2. */

import type { Text } from "./i18n";

export interface Variable {
  key: string;
  value: string;
}

export const MOST = 100;
const KEY = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;
const LONGEST_VALUE = 4096;

/** What is wrong with row `index`, or null. A row without a key and a value is none. */
export function problemOf(rows: readonly Variable[], index: number): Text | null {
  const { key, value } = rows[index] as Variable;
  if (key === "" && value === "") return null;
  if (!KEY.test(key)) return "variables.badKey";
  if (key.startsWith("DEVPOCKET_")) return "variables.reserved";
  if (rows.some((other, at) => at < index && other.key === key)) return "variables.twice";
  if (value.length > LONGEST_VALUE) return "variables.tooLong";
  return null;
}

export function toRecord(rows: readonly Variable[]): Record<string, string> {
  return Object.fromEntries(rows.filter(({ key }) => key !== "").map(({ key, value }) => [key, value]));
}

export function toRows(variables: Record<string, string>): Variable[] {
  return Object.entries(variables)
    .sort(([one], [other]) => one.localeCompare(other))
    .map(([key, value]) => ({ key, value }));
}

/** What a PATCH has to say so that `before` becomes `after`: what was changed elsewhere meanwhile stays. */
export function changesOf(
  before: Record<string, string>,
  after: Record<string, string>,
): Record<string, string | null> {
  const changes: Record<string, string | null> = {};
  for (const key of Object.keys(before)) if (!(key in after)) changes[key] = null;
  for (const [key, value] of Object.entries(after)) if (before[key] !== value) changes[key] = value;
  return changes;
}
