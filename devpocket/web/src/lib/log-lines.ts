/** Lines of a machine's logs, as the logs' WebSocket and GET .../logs tell them (docs/websocket-protocol.md). */

import type { Frame } from "./link";

export const LEVELS = ["DEBUG", "INFO", "WARN", "ERROR"] as const;
export const SOURCES = ["devpocket", "install", "cloud-init", "application", "system"] as const;
export type Level = (typeof LEVELS)[number];

export interface LogLine {
  number: number; // of this page, to tell one from another
  at: string;
  level: Level;
  source: string;
  text: string;
}

export interface LogFilter {
  level: Level; // and what is worse
  source: string | null;
  text: string;
}

/** As many are kept as one read of the history gives. */
export const KEPT = 1000;
let count = 0;

export function lineOf(frame: Frame): LogLine | null {
  const number = ++count;
  switch (frame.type) {
    case "log":
      return { number, at: frame.timestamp, level: frame.level, source: frame.source, text: frame.message };
    case "installation_log":
      return { number, at: frame.timestamp, level: "INFO", source: frame.source, text: frame.data };
    case "installation_error":
      return { number, at: frame.timestamp, level: "ERROR", source: "devpocket", text: frame.error };
    default:
      return null;
  }
}

/** The newest of both. */
export function keep(lines: readonly LogLine[], more: readonly LogLine[]): LogLine[] {
  return [...lines, ...more].slice(-KEPT);
}

export function matching(lines: readonly LogLine[], { level, source, text }: LogFilter): LogLine[] {
  const least = LEVELS.indexOf(level);
  const wanted = text.trim().toLowerCase();
  return lines.filter(
    (line) =>
      LEVELS.indexOf(line.level) >= least &&
      (source === null || line.source === source) &&
      (wanted === "" || line.text.toLowerCase().includes(wanted)),
  );
}
