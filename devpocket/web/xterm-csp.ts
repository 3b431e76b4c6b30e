import { fileURLToPath } from "node:url";
import type { Plugin } from "vite";

const LIBRARY = /\/@xterm\/xterm\/lib\/xterm\.mjs$/;
const STYLE_ELEMENT = /[\w$.]+\.createElement\("style"\)/g;
const STYLE_ATTRIBUTE = /([\w$]+)\.setAttribute\("style",/g;
const HELPERS = fileURLToPath(new URL("src/terminal/adopted-style.ts", import.meta.url));

/**
 * Makes xterm.js work under `style-src 'self'`: it inserts `<style>` elements and sets `style` attributes.
 *
 * The build fails where another version does so in other places than the one this was made for.
 */
export function xtermUnderCsp(): Plugin {
  return {
    name: "xterm-under-csp",
    enforce: "pre",
    transform(code, id) {
      if (!LIBRARY.test(id.split("?")[0] ?? "")) return null;
      let elements = 0;
      let attributes = 0;
      const changed = code
        .replace(STYLE_ELEMENT, () => {
          elements += 1;
          return "adoptedStyle()";
        })
        .replace(STYLE_ATTRIBUTE, (_, element: string) => {
          attributes += 1;
          return `setStyle(${element},`;
        });
      if (elements !== 3 || attributes !== 1)
        throw new Error(`xterm.js has ${elements} style elements and ${attributes} style attributes, not 3 and 1`);
      return { code: `import{adoptedStyle,setStyle}from${JSON.stringify(HELPERS)};${changed}`, map: null };
    },
  };
}
