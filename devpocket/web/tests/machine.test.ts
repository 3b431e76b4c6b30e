import { expect, test } from "vitest";
import { type Point, path, rates, series, summary, thinned } from "../src/lib/charts";
import { merged } from "../src/lib/events";
import { KEPT, keep, type LogLine, lineOf, matching } from "../src/lib/log-lines";
import type { MachineEvent, PastMetrics } from "../src/lib/types";
import { changesOf, problemOf, toRecord, toRows } from "../src/lib/variables";

const MINUTE = 60_000;
const began = Date.parse("2026-11-24T10:00:00Z");
const sample = (minute: number, more: Partial<PastMetrics>) =>
  ({ timestamp: new Date(began + minute * MINUTE).toISOString(), ...more }) as PastMetrics;
const field = { from: began, to: began + 60 * MINUTE, top: 100, width: 600, height: 100 };

test("a line is drawn from sample to sample, and broken where nothing was measured", () => {
  const history = [0, 1, 2, 3].map((minute) => sample(minute, { cpu_usage: minute === 2 ? null : 50 }));
  expect(path(series(history, "cpu_usage"), field)).toBe("M0.0 50.0L10.0 50.0M30.0 50.0");
});

test("a long pause is no line", () => {
  const history = [sample(0, { cpu_usage: 0 }), sample(20, { cpu_usage: 100 })];
  expect(path(series(history, "cpu_usage"), field)).toBe("M0.0 100.0M200.0 0.0");
});

test("rates are bytes a second, and none over a boot", () => {
  const history = [0, 600, 1200, 60].map((network_rx, minute) => sample(minute, { network_rx }));
  expect(rates(history, "network_rx").map(({ value }) => value)).toEqual([10, 10, null]);
});

test("a week has no more points than fit, and keeps its mean", () => {
  const points: Point[] = Array.from({ length: 10_080 }, (_, minute) => ({ at: minute, value: minute % 2 }));
  const thin = thinned(points);
  expect(thin.length).toBeLessThanOrEqual(240);
  expect(summary(thin)?.mean).toBeCloseTo(0.5, 1);
  expect(thinned([{ at: 0, value: null }], 1)[0]?.value).toBeNull();
});

test("a chart's words", () => {
  const points = [3, null, 1].map((value, at) => ({ at, value }));
  expect(summary(points)).toEqual({ last: 1, mean: 2, most: 3 });
  expect(summary([{ at: 0, value: null }])).toBeNull();
});

const events = (...ids: number[]) => ids.map((id) => ({ id: String(id) }) as MachineEvent);
const ids = (line: { events: MachineEvent[] }) => line.events.map(({ id }) => Number(id));

test("newer and older events join what is shown, each once", () => {
  const known = { events: events(12, 11, 10), from: 5 };
  const newer = merged(known, { events: events(14, 13, 12), from: 7 });
  expect(ids(newer)).toEqual([14, 13, 12, 11, 10]);
  expect(newer.from).toBe(5);
  const older = merged(newer, { events: events(9, 2), from: 3 });
  expect(ids(older)).toEqual([14, 13, 12, 11, 10, 9, 2]);
  expect(older.from).toBe(3);
});

test("where more has happened than was read, what was shown before goes: nothing is left out in the middle", () => {
  const line = merged({ events: events(2, 1), from: 0 }, { events: events(90, 89), from: 50 });
  expect(ids(line)).toEqual([90, 89]);
  expect(line.from).toBe(50);
});

test("frames of the logs' socket become lines", () => {
  const timestamp = "2026-11-24T10:00:00.123456Z";
  expect(lineOf({ type: "log", timestamp, level: "WARN", message: "low", source: "application" })).toMatchObject({
    at: timestamp,
    level: "WARN",
    source: "application",
    text: "low",
  });
  expect(lineOf({ type: "installation_log", timestamp, data: "Setting up", source: "install" })).toMatchObject({
    level: "INFO",
    text: "Setting up",
  });
  expect(lineOf({ type: "installation_error", timestamp, error: "no network", code: "x" })?.level).toBe("ERROR");
  expect(lineOf({ type: "status_update" })).toBeNull();
});

const line = (number: number, more: Partial<LogLine> = {}): LogLine => ({
  number,
  at: "",
  level: "INFO",
  source: "install",
  text: `line ${number}`,
  ...more,
});

test("the newest lines are kept", () => {
  const lines = Array.from({ length: KEPT }, (_, number) => line(number));
  const kept = keep(lines, [line(KEPT), line(KEPT + 1)]);
  expect(kept).toHaveLength(KEPT);
  expect(kept[0]?.number).toBe(2);
  expect(kept.at(-1)?.number).toBe(KEPT + 1);
});

test("lines are found by level, source and words", () => {
  const lines = [line(1), line(2, { level: "ERROR" }), line(3, { source: "application", text: "Ready" })];
  const found = (filter: Parameters<typeof matching>[1]) => matching(lines, filter).map(({ number }) => number);
  expect(found({ level: "DEBUG", source: null, text: "" })).toEqual([1, 2, 3]);
  expect(found({ level: "WARN", source: null, text: "" })).toEqual([2]);
  expect(found({ level: "DEBUG", source: "install", text: "" })).toEqual([1, 2]);
  expect(found({ level: "DEBUG", source: null, text: " ready " })).toEqual([3]);
});

test("what is wrong with a variable", () => {
  const problem = (key: string, value = "") =>
    problemOf(
      [
        { key: "TAKEN", value: "" },
        { key, value },
      ],
      1,
    );
  expect(problem("A_1")).toBeNull();
  expect(problem("")).toBeNull();
  expect(problem("", "x")).toBe("variables.badKey");
  expect(problem("1A")).toBe("variables.badKey");
  expect(problem("DEVPOCKET_X")).toBe("variables.reserved");
  expect(problem("TAKEN")).toBe("variables.twice");
  expect(problem("A", "x".repeat(4097))).toBe("variables.tooLong");
});

test("a change says what is new, other, or gone, and nothing else", () => {
  const before = { A: "1", B: "2", C: "3" };
  expect(changesOf(before, { A: "1", B: "two", D: "4" })).toEqual({ B: "two", C: null, D: "4" });
  expect(changesOf(before, before)).toEqual({});
  expect(toRecord(toRows(before))).toEqual(before);
});
