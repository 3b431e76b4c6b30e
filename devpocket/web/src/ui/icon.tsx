/** Drawings of 24 by 24, as strokes. */
const PATHS = {
  back: "M15 5l-7 7 7 7",
  camera: "M4 8h3l2-3h6l2 3h3v11H4zM12 17a4 4 0 1 0 0-8 4 4 0 0 0 0 8z",
  check: "M5 13l4 4L19 7",
  clock: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 7v5l3 2",
  close: "M6 6l12 12M18 6L6 18",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  dot: "M12 10a2 2 0 1 0 0 4 2 2 0 0 0 0-4z",
  down: "M6 9l6 6 6-6",
  grow: "M4 14v6h6M20 10V4h-6M4 20l7-7M20 4l-7 7",
  hidden:
    "M3 3l18 18M10 6.2A9 9 0 0 1 12 6c6 0 9 6 9 6a15 15 0 0 1-2.4 3.1M6.5 7.5A14 14 0 0 0 3 12s3 6 9 6a9 9 0 0 0 4.4-1.1M9.9 9.9a3 3 0 0 0 4.2 4.2",
  history: "M4 12a8 8 0 1 0 2.3-5.7L4 8.5M4 4v4.5h4.5M12 8v4l3 2",
  insert: "M9 5v14M6 5h6M6 19h6M15 9h5v6h-5",
  key: "M14 10a4 4 0 1 0-3.5 3.97L12 15v2h2v2h3v-3l-3.6-3.6A4 4 0 0 0 14 10zM9 9h.01",
  link: "M10 14a4 4 0 0 0 6 .4l3-3a4 4 0 0 0-5.7-5.7L12 7M14 10a4 4 0 0 0-6-.4l-3 3a4 4 0 0 0 5.7 5.7L12 17",
  machine: "M4 5h16v6H4zM4 13h16v6H4zM7 8h.01M7 16h.01",
  menu: "M5 7h14M5 12h14M5 17h14",
  minus: "M5 12h14",
  more: "M12 6h.01M12 12h.01M12 18h.01",
  pause: "M9 6v12M15 6v12",
  play: "M8 5l11 7-11 7z",
  plus: "M12 5v14M5 12h14",
  refresh: "M20 12a8 8 0 1 1-2.3-5.7L20 8.5M20 4v4.5h-4.5",
  seen: "M3 12s3-6 9-6 9 6 9 6-3 6-9 6-9-6-9-6zM12 15a3 3 0 1 0 0-6 3 3 0 0 0 0 6z",
  send: "M19 5v6a3 3 0 0 1-3 3H5M9 10l-4 4 4 4",
  settings: "M4 8h9M17 8h3M4 16h3M11 16h9M13 6v4h4V6zM7 14v4h4v-4z",
  snow: "M12 3v18M4.2 7.5l15.6 9M19.8 7.5l-15.6 9",
  stop: "M7 7h10v10H7z",
  terminal: "M5 7l5 5-5 5M12 18h7",
  trash: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
  up: "M6 15l6-6 6 6",
  user: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4 20c1-4 4-6 8-6s7 2 8 6",
  warning: "M12 4l9 16H3zM12 10v4M12 17h.01",
} as const;

export type IconName = keyof typeof PATHS;

/** Says nothing to a screen reader: what it stands on has a text or a label. */
export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}
