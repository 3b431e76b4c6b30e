/** From samples to lines: as many points as a screen shows, and gaps where nothing was measured. */

import type { PastMetrics } from "./types";

export interface Point {
  at: number; // ms
  value: number | null;
}

const GAP_MS = 5 * 60_000; // samples are a minute apart
const MOST_POINTS = 240;

export function series(
  history: readonly PastMetrics[],
  field: "cpu_usage" | "memory_usage" | "storage_usage",
): Point[] {
  return history.map((sample) => ({ at: Date.parse(sample.timestamp), value: sample[field] }));
}

/** Bytes a second, from counters since boot; nothing where the machine was booted in between. */
export function rates(history: readonly PastMetrics[], field: "network_rx" | "network_tx"): Point[] {
  return history.slice(1).map((sample, index) => {
    const before = history[index] as PastMetrics;
    const at = Date.parse(sample.timestamp);
    const seconds = (at - Date.parse(before.timestamp)) / 1000;
    const [now, then] = [sample[field], before[field]];
    const isKnown = now !== null && then !== null && now >= then && seconds > 0 && seconds * 1000 <= GAP_MS;
    return { at, value: isKnown ? (now - then) / seconds : null };
  });
}

/** Means of neighbours, so that there are at most `most` points. */
export function thinned(points: readonly Point[], most = MOST_POINTS): Point[] {
  const group = Math.ceil(points.length / most);
  if (group <= 1) return [...points];
  const thin: Point[] = [];
  for (let first = 0; first < points.length; first += group) {
    const some = points.slice(first, first + group);
    const values = some.flatMap(({ value }) => (value === null ? [] : [value]));
    thin.push({
      at: (some[0] as Point).at,
      value: values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length,
    });
  }
  return thin;
}

/** An SVG path in a field of `width` by `height` for the time `from` to `to`, and values of 0 to `top`. */
export function path(
  points: readonly Point[],
  { from, to, top, width, height }: { from: number; to: number; top: number; width: number; height: number },
): string {
  const gapMs = GAP_MS * Math.max(1, (to - from) / (MOST_POINTS * 60_000));
  let drawn = "";
  let last: number | null = null;
  for (const { at, value } of points) {
    if (value === null || at < from) {
      last = null;
      continue;
    }
    const x = ((at - from) / (to - from)) * width;
    const y = height - (Math.min(value, top) / top) * height;
    drawn += `${last === null || at - last > gapMs ? "M" : "L"}${x.toFixed(1)} ${y.toFixed(1)}`;
    last = at;
  }
  return drawn;
}

/** Null where nothing was measured. */
export function summary(points: readonly Point[]): { last: number; mean: number; most: number } | null {
  const values = points.flatMap(({ value }) => (value === null ? [] : [value]));
  if (values.length === 0) return null;
  return {
    last: values[values.length - 1] as number,
    mean: values.reduce((sum, value) => sum + value, 0) / values.length,
    most: Math.max(...values),
  };
}
