/** How fast to type at a server that has had too much. Source: docs/websocket-protocol.md, "Limits". */

// Half of what it allows in the long run, so that what is on its way already is made up for as well. One that is in
// excess for a minute is closed.
const BYTES_PER_MS = (1024 * 1024) / 60_000 / 2;
const MESSAGES_PER_MS = 20 / 1000 / 2;

/** As fast as it goes, until the server complains; then slowly, for as long as the socket lasts. */
export class Pace {
  private isSlow = false;
  private freeAt = 0;

  constructor(private readonly now: () => number = Date.now) {}

  /** On a socket of which nothing is known. */
  begin(): void {
    this.isSlow = false;
    this.freeAt = 0;
  }

  /** `restS`: the server's `retry_after`. */
  slowDown(restS: number): void {
    this.isSlow = true;
    this.freeAt = Math.max(this.freeAt, this.now()) + restS * 1000;
  }

  sent(size: number): void {
    if (!this.isSlow) return;
    this.freeAt = Math.max(this.freeAt, this.now()) + Math.max(size / BYTES_PER_MS, 1 / MESSAGES_PER_MS);
  }

  /** How long to wait before the next message; 0: not at all. */
  restMs(): number {
    return Math.max(0, this.freeAt - this.now());
  }
}
