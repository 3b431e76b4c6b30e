/**
 * How long typing and drawing take, as entries of the browser's performance time line that a test can read:
 * `terminal:key` from the event to its frame being handed to the socket, `terminal:draw` from a frame to the screen.
 */

const KEPT = 1000; // of each; the time line itself would keep them all

const counts = { "terminal:key": 0, "terminal:draw": 0 };

function measured(name: keyof typeof counts, start: number): void {
  if (++counts[name] > KEPT) {
    performance.clearMeasures(name);
    counts[name] = 1;
  }
  performance.measure(name, { start, end: performance.now() });
}

let pressedAt = 0;

/** An event of the keyboard, as it is dispatched; what it leads to is sent before the next one, or not at all. */
export function pressed(event: Event): void {
  pressedAt = event.timeStamp;
}

export function sent(): void {
  if (pressedAt === 0) return;
  measured("terminal:key", pressedAt);
  pressedAt = 0;
}

/** For one screen: from the first frame that isn't drawn yet. */
export class DrawClock {
  private receivedAt = 0;

  received(): void {
    if (this.receivedAt === 0) this.receivedAt = performance.now();
  }

  /** What was received is parsed. Where it has changed nothing that is seen, nothing will be drawn for it. */
  parsed(): void {
    const mine = this.receivedAt;
    requestAnimationFrame(() =>
      requestAnimationFrame(() => {
        if (this.receivedAt === mine) this.receivedAt = 0;
      }),
    );
  }

  drawn(): void {
    if (this.receivedAt === 0) return;
    measured("terminal:draw", this.receivedAt);
    this.receivedAt = 0;
  }
}
