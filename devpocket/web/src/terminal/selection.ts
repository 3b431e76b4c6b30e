/** A selection made with a finger: a word at first, then as far as the handles are drawn. */

import { signal } from "@preact/signals";
import type { Cell, View } from "./view";

/** What belongs together when it is copied: words, paths, addresses, options. */
const IN_WORD = /[\p{L}\p{N}\p{M}_\-./~:@%+=&?#$,]/u;

/** The word around a column; a gap is a word as well. `end` is the first column behind it. */
export function wordAt(cells: string[], col: number): { start: number; end: number } {
  const kind = (at: number) => IN_WORD.test(cells[at] ?? " ");
  const wanted = kind(col);
  let start = col;
  let end = col + 1;
  while (start > 0 && kind(start - 1) === wanted) start--;
  while (end < cells.length && kind(end) === wanted) end++;
  return { start, end };
}

export interface Range {
  from: Cell;
  to: Cell; // the last cell of it
}

const before = (one: Cell, other: Cell) => one.row < other.row || (one.row === other.row && one.col < other.col);

/** The range with one of its ends elsewhere; the ends change places where they pass each other. */
export function withEnd(range: Range, end: "from" | "to", cell: Cell): { range: Range; end: "from" | "to" } {
  const fixed = end === "from" ? range.to : range.from;
  return before(cell, fixed)
    ? { range: { from: cell, to: fixed }, end: "from" }
    : { range: { from: fixed, to: cell }, end: "to" };
}

export class TouchSelection {
  readonly range = signal<Range | null>(null);

  constructor(private readonly view: View) {
    view.terminal.onSelectionChange(() => {
      if (!view.terminal.hasSelection()) this.range.value = null; // output or a key has ended it
    });
  }

  /** The word that is at this cell. */
  begin({ col, row }: Cell): void {
    const { start, end } = wordAt(this.cells(row), col);
    this.set({ from: { col: start, row }, to: { col: end - 1, row } });
  }

  move(end: "from" | "to", cell: Cell): "from" | "to" {
    if (this.range.value === null) return end;
    const moved = withEnd(this.range.value, end, cell);
    this.set(moved.range);
    return moved.end;
  }

  all(): void {
    const { cols, rows } = this.view.terminal;
    this.set({ from: { col: 0, row: 0 }, to: { col: cols - 1, row: rows - 1 } });
  }

  get text(): string {
    return this.view.terminal.getSelection();
  }

  clear(): void {
    this.view.terminal.clearSelection();
    this.range.value = null;
  }

  private set(range: Range): void {
    const { terminal } = this.view;
    const { from, to } = range;
    const length = (to.row - from.row) * terminal.cols + to.col - from.col + 1;
    terminal.select(from.col, from.row + terminal.buffer.active.viewportY, length);
    this.range.value = range;
  }

  private cells(row: number): string[] {
    const buffer = this.view.terminal.buffer.active;
    const line = buffer.getLine(buffer.viewportY + row);
    return Array.from({ length: this.view.terminal.cols }, (_, col) => {
      const cell = line?.getCell(col);
      if (cell?.getWidth() === 0) return line?.getCell(col - 1)?.getChars() || " "; // the right half of a wide character
      return cell?.getChars() || " ";
    });
  }
}
