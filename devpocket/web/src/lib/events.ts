/** A machine's time line. The API gives it oldest first, and people read it newest first: from the end, page by page. */

import { get } from "./api";
import type { MachineEvent } from "./types";

const PAGE = 50;

export interface Timeline {
  events: MachineEvent[]; // newest first
  from: number; // how many there are before the oldest of them
}

interface Answer {
  events: MachineEvent[];
  total: number;
}

const read = (id: string, limit: number, offset: number) =>
  get<Answer>(`/environments/${id}/events?envelope=true&limit=${limit}&offset=${offset}`);

/** Raises: ApiError. */
export async function newestEvents(id: string): Promise<Timeline> {
  const first = await read(id, PAGE, 0);
  const from = Math.max(0, first.total - PAGE);
  const { events } = from === 0 ? first : await read(id, PAGE, from);
  return { events: events.reverse(), from };
}

/** The page before those that `from` counts. Raises: ApiError. */
export async function olderEvents(id: string, from: number): Promise<Timeline> {
  const start = Math.max(0, from - PAGE);
  const { events } = await read(id, from - start, start);
  return { events: events.reverse(), from: start };
}

/** Ids grow with time. Where more has happened between the two than either has, what was known goes: nothing is left out. */
export function merged(known: Timeline | null, more: Timeline): Timeline {
  const isApart = known !== null && more.from > known.from + known.events.length;
  if (known === null || isApart) return more;
  const all = new Map([...known.events, ...more.events].map((event) => [event.id, event]));
  return {
    events: [...all.values()].sort((one, other) => Number(other.id) - Number(one.id)),
    from: Math.min(known.from, more.from),
  };
}
