/** The terminal's colours, for the page's dark and light. */

import type { ITheme } from "@xterm/xterm";

const dark: ITheme = {
  background: "#0e1116",
  foreground: "#eef1f5",
  cursor: "#6cb2ff",
  cursorAccent: "#0e1116",
  selectionBackground: "#2f5f96",
  black: "#3b424d",
  red: "#ff8d85",
  green: "#5ddc94",
  yellow: "#f3bd5d",
  blue: "#6cb2ff",
  magenta: "#d79bff",
  cyan: "#57d3e0",
  white: "#d5dae1",
  brightBlack: "#8b96a5",
  brightRed: "#ffb3ad",
  brightGreen: "#8ff0b8",
  brightYellow: "#ffd78f",
  brightBlue: "#9dccff",
  brightMagenta: "#e7c1ff",
  brightCyan: "#93e8f1",
  brightWhite: "#ffffff",
};

const light: ITheme = {
  background: "#ffffff",
  foreground: "#12161c",
  cursor: "#0a5fcc",
  cursorAccent: "#ffffff",
  selectionBackground: "#b5d4fb",
  black: "#12161c",
  red: "#b3211b",
  green: "#11703c",
  yellow: "#7d4e00",
  blue: "#0a5fcc",
  magenta: "#8a2bb0",
  cyan: "#0b6b78",
  white: "#5b6572",
  brightBlack: "#505a67",
  brightRed: "#c62a23",
  brightGreen: "#0e7d42",
  brightYellow: "#8a5a00",
  brightBlue: "#1a6fe0",
  brightMagenta: "#9a38c2",
  brightCyan: "#0d7886",
  brightWhite: "#2c333e",
};

export const themeOf = (isDark: boolean): ITheme => (isDark ? dark : light);
