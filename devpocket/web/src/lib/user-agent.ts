/** The browser and system of a sign-in, from its User-Agent: enough for people to know their own devices. */

// Each also has the names of those below it, whose sites it wants to work with.
const PROGRAMS: [RegExp, string][] = [
  [/DevPocket/i, "DevPocket"],
  [/\bEdg(e|A|iOS)?\//, "Edge"],
  [/\bOPR\/|\bOpera\b/, "Opera"],
  [/\bSamsungBrowser\//, "Samsung Internet"],
  [/\bFirefox\/|\bFxiOS\//, "Firefox"],
  [/Chrome\/|\bCriOS\//, "Chrome"],
  [/\bSafari\//, "Safari"],
  [/\b(Dart|okhttp)\//i, "DevPocket"],
  [/^curl\//, "curl"],
];
const SYSTEMS: [RegExp, string][] = [
  [/iPhone|iPad|iPod/, "iOS"],
  [/Android/, "Android"],
  [/CrOS/, "ChromeOS"],
  [/Windows/, "Windows"],
  [/Macintosh|Mac OS X/, "macOS"],
  [/Linux/, "Linux"],
];

const first = (names: [RegExp, string][], text: string) => names.find(([pattern]) => pattern.test(text))?.[1] ?? null;

/** "Chrome · Android"; what can't be read stays as it is, short; null when there is nothing. */
export function device(userAgent: string): string | null {
  const known = [first(PROGRAMS, userAgent), first(SYSTEMS, userAgent)].filter((name) => name !== null);
  return known.length > 0 ? known.join(" · ") : userAgent.trim().slice(0, 60) || null;
}
