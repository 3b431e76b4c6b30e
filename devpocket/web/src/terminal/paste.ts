/** Pasted text, as a terminal may have it. */

// Whatever a clipboard has in it: control characters could end the bracketed paste, or be keys.
// biome-ignore lint/suspicious/noControlCharactersInRegex: those are what is taken out
const CONTROLS = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]/g;

export function cleaned(text: string): string {
  return text.replace(/\r\n?/g, "\n").replace(CONTROLS, "");
}

/** Lines that would be carried out one by one, if the program takes each line break as Enter. */
export function lineCount(text: string): number {
  return text.replace(/\n$/, "").split("\n").length;
}
