/**
 * What was typed and is not known to have arrived, in numbered pieces that fit a message.
 *
 * The server applies each number once (docs/websocket-protocol.md, "Input exactly once"), so a piece that was on its way
 * when the connection broke is sent again as it was: neither lost nor typed twice.
 */

/** A character is at most 6 bytes of JSON (\u001b), so that a message stays below 64 KiB. */
const PIECE_CHARACTERS = 8192;
/** Unacknowledged at once; the rest waits here, where it can be coalesced and looks less like an excess. */
const WINDOW_CHARACTERS = 32 * 1024;
/** More than anybody types or pastes; whoever goes over it is told so. */
export const OUTBOX_CHARACTERS = 4 * 1024 * 1024;

export interface Piece {
  seq: number;
  text: string;
}

/** Text in the order it was typed. What has a number keeps it with its text for good: the server may have applied it. */
export class Outbox {
  private onItsWay: Piece[] = [];
  private again: Piece[] = []; // was on its way when the connection broke
  private text = ""; // without a number yet
  private last = 0; // the last number that was given

  /** Characters that are not known to have arrived. */
  get length(): number {
    return count(this.onItsWay) + count(this.again) + this.text.length;
  }

  /** False, and nothing is taken: there is no room for all of it, and half a paste is worse than none. */
  put(text: string): boolean {
    if (this.length + text.length > OUTBOX_CHARACTERS) return false;
    this.text += text;
    return true;
  }

  /** What to send next, which is on its way then; null for nothing, or when enough is on its way. */
  next(): Piece | null {
    if (count(this.onItsWay) >= WINDOW_CHARACTERS) return null;
    let piece = this.again.shift();
    if (piece === undefined) {
      if (this.text === "") return null;
      const end = pieceEnd(this.text);
      piece = { seq: ++this.last, text: this.text.slice(0, end) };
      this.text = this.text.slice(end);
    }
    this.onItsWay.push(piece);
    return piece;
  }

  /** The server has applied everything up to this number. */
  acknowledged(seq: number): void {
    const isLeft = (piece: Piece) => piece.seq > seq;
    this.onItsWay = this.onItsWay.filter(isLeft);
    this.again = this.again.filter(isLeft);
  }

  /** On another socket, or with another shell. The server has said up to where it applied; the rest goes again. */
  startOver(applied: number): void {
    this.again = [...this.onItsWay, ...this.again];
    this.onItsWay = [];
    this.acknowledged(applied);
  }

  /** Drop everything; how many characters that were. */
  forget(): number {
    const dropped = this.length;
    this.text = "";
    this.onItsWay = [];
    this.again = [];
    return dropped;
  }
}

function count(pieces: Piece[]): number {
  return pieces.reduce((sum, piece) => sum + piece.text.length, 0);
}

/** Where a piece of the text ends: never within a surrogate pair, halves of which can't be sent. */
function pieceEnd(text: string): number {
  if (text.length <= PIECE_CHARACTERS) return text.length;
  const before = text.charCodeAt(PIECE_CHARACTERS - 1);
  return before >= 0xd800 && before <= 0xdbff ? PIECE_CHARACTERS - 1 : PIECE_CHARACTERS;
}
