/**
 * Scrolling back. Under tmux the mouse's wheel does it: tmux shows its own history, or hands the wheel to a program that
 * wants it. In a plain shell it is xterm.js's scrollback, and where there is neither, arrow keys.
 */

import type { View } from "./view";

const ROWS_PER_TURN = 3; // of the finger, for a step of the wheel; tmux moves by five lines for each

export class Scroller {
  private rest = 0; // rows that are not a whole step yet
  /** How many steps the wheel was turned up further than down: typing turns it back, so that it goes to the shell. */
  private turnedUp = 0;

  constructor(private readonly view: View) {}

  /** By `rows` of the screen, upwards (into what was before) where it is more than 0. */
  by(rows: number, x: number, y: number): void {
    const { terminal } = this.view;
    if (terminal.modes.mouseTrackingMode !== "none") {
      this.step(rows, ROWS_PER_TURN, (up) => this.turn(up, x, y));
    } else if (terminal.buffer.active.type === "normal") {
      this.step(rows, 1, (up) => terminal.scrollLines(up ? -1 : 1));
    } else {
      const prefix = terminal.modes.applicationCursorKeysMode ? "\x1bO" : "\x1b[";
      this.step(rows, 1, (up) => terminal.input(prefix + (up ? "A" : "B")));
    }
  }

  /** Somebody types: what they see must be where it goes. tmux leaves its history at the end of it. */
  toEnd(): void {
    if (this.turnedUp === 0) return;
    const { left, top } = this.view.grid();
    while (this.turnedUp > 0) this.turn(false, left + 1, top + 1);
  }

  /** Another screen, or the history was left in another way. */
  forget(): void {
    this.turnedUp = 0;
    this.rest = 0;
  }

  private step(rows: number, size: number, move: (isUp: boolean) => void): void {
    this.rest += rows;
    while (Math.abs(this.rest) >= size) {
      const isUp = this.rest > 0;
      this.rest -= isUp ? size : -size;
      move(isUp);
    }
  }

  private turn(isUp: boolean, x: number, y: number): void {
    this.turnedUp = Math.max(0, this.turnedUp + (isUp ? 1 : -1));
    this.view.terminal.element?.dispatchEvent(
      new WheelEvent("wheel", {
        deltaY: isUp ? -1 : 1,
        deltaMode: WheelEvent.DOM_DELTA_LINE,
        clientX: x,
        clientY: y,
        bubbles: true,
        cancelable: true,
      }),
    );
  }
}
