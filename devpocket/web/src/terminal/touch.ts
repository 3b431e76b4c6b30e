/**
 * Fingers on the terminal: a tap goes on to it (focus, keyboard, links, programs with a mouse), a drag scrolls, two fingers
 * scroll or change the size of the letters, a long press selects.
 */

const SLOP_PX = 10; // a finger is never quite still
const LONG_PRESS_MS = 450;
const PINCH_SHARE = 0.12; // of the fingers' distance, before it is a pinch
const GLIDE_MIN = 0.3; // px per ms, below which nothing glides on
const GLIDE_DECAY = 0.994; // of the speed that is left after a millisecond

export interface TouchEvents {
  /** Down by `px` is into what was before. `x`, `y`: where in the window. */
  onScroll(px: number, x: number, y: number): void;
  /** The fingers' distance, as a share of what it was at first. */
  onPinch(share: number, phase: "begin" | "move"): void;
  onLongPress(x: number, y: number): void;
  /** After a long press, without lifting the finger. */
  onDrag(x: number, y: number): void;
  /** Before what the browser makes of it: the events of a mouse. */
  onTap(): void;
}

type Doing = "nothing" | "scroll" | "pinch" | "select";

export function followTouches(element: HTMLElement, events: TouchEvents): () => void {
  let doing: Doing = "nothing";
  let first = { x: 0, y: 0, distance: 0 };
  let last = { y: 0, at: 0 };
  let speed = 0; // px per ms, downwards
  let pressing: ReturnType<typeof setTimeout> | undefined;
  let gliding = 0;
  const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;

  function where(touches: TouchList): { x: number; y: number; distance: number } {
    const [one, other] = [touches[0] as Touch, touches[1]];
    if (other === undefined) return { x: one.clientX, y: one.clientY, distance: 0 };
    return {
      x: (one.clientX + other.clientX) / 2,
      y: (one.clientY + other.clientY) / 2,
      distance: Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY),
    };
  }

  function start(event: TouchEvent): void {
    clearTimeout(pressing);
    cancelAnimationFrame(gliding);
    if (doing === "select") return;
    first = where(event.touches);
    last = { y: first.y, at: event.timeStamp };
    speed = 0;
    if (event.touches.length === 1) {
      doing = "nothing";
      pressing = setTimeout(() => {
        doing = "select";
        events.onLongPress(first.x, first.y);
      }, LONG_PRESS_MS);
    }
  }

  function move(event: TouchEvent): void {
    if (event.cancelable) event.preventDefault(); // the page doesn't scroll or zoom
    const now = where(event.touches);
    if (doing === "select") return events.onDrag(now.x, now.y);
    if (doing === "nothing") {
      const share = first.distance > 0 ? now.distance / first.distance : 1;
      if (Math.abs(share - 1) > PINCH_SHARE) {
        doing = "pinch";
        first.distance = now.distance;
        events.onPinch(1, "begin");
      } else if (Math.hypot(now.x - first.x, now.y - first.y) > SLOP_PX) doing = "scroll";
      else return;
      clearTimeout(pressing);
    }
    if (doing === "pinch" && now.distance > 0) events.onPinch(now.distance / first.distance, "move");
    if (doing === "scroll") {
      const px = now.y - last.y;
      speed = px / Math.max(1, event.timeStamp - last.at);
      events.onScroll(px, now.x, now.y);
    }
    last = { y: now.y, at: event.timeStamp };
  }

  function end(event: TouchEvent): void {
    clearTimeout(pressing);
    if (doing !== "nothing" && event.cancelable) event.preventDefault(); // it was no tap
    if (doing === "nothing" && event.type === "touchend") events.onTap();
    if (event.touches.length > 0) {
      first = where(event.touches);
      last = { y: first.y, at: event.timeStamp };
      return;
    }
    if (doing === "scroll" && !isCalm && Math.abs(speed) > GLIDE_MIN) glide(speed, event.timeStamp);
    doing = "nothing";
  }

  /** On after the fingers are lifted, ever slower. */
  function glide(from: number, since: number): void {
    gliding = requestAnimationFrame((now) => {
      const ms = Math.max(0, now - since);
      events.onScroll(from * ms, first.x, first.y);
      const left = from * GLIDE_DECAY ** ms;
      if (Math.abs(left) > GLIDE_MIN / 4) glide(left, now);
    });
  }

  const listeners = { touchstart: start, touchmove: move, touchend: end, touchcancel: end };
  for (const [name, listener] of Object.entries(listeners))
    element.addEventListener(name, listener as (event: Event) => void, { passive: false });
  const noMenu = (event: Event) => {
    if (doing === "select" || matchMedia("(pointer: coarse)").matches) event.preventDefault(); // of a long press
  };
  element.addEventListener("contextmenu", noMenu, { capture: true });
  return () => {
    clearTimeout(pressing);
    cancelAnimationFrame(gliding);
    for (const [name, listener] of Object.entries(listeners))
      element.removeEventListener(name, listener as (event: Event) => void);
    element.removeEventListener("contextmenu", noMenu, { capture: true });
  };
}
