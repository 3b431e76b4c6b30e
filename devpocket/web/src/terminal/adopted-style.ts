/**
 * What the build puts in place of xterm.js's `<style>` elements and `style` attributes (xterm-csp.ts), which a page with
 * `style-src 'self'` refuses: the same rules as a style sheet of the document's own.
 */

/** A node that takes the place of a `<style>`: its text becomes rules of the document, for as long as it isn't removed. */
export function adoptedStyle(): HTMLElement {
  const sheet = new CSSStyleSheet();
  const node = document.createElement("span");
  node.hidden = true;
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
  Object.defineProperties(node, {
    textContent: {
      set(css: string) {
        sheet.replaceSync(css);
      },
    },
    remove: {
      value() {
        document.adoptedStyleSheets = document.adoptedStyleSheets.filter((one) => one !== sheet);
        Element.prototype.remove.call(node);
      },
    },
  });
  return node;
}

/** As the `style` attribute, by way of the CSSOM. */
export function setStyle(element: HTMLElement, css: string): void {
  element.style.cssText = css;
}
