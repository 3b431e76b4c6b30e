/** What a new password must be, to say it while it is typed. Source: contract 3.1; the server has the last word. */

export const PASSWORD_RULES = ["length", "lower", "upper", "digit", "notYou"] as const;
export type PasswordRule = (typeof PASSWORD_RULES)[number];

const MIN = 8;
const MAX = 128;
const NAME_MIN = 3; // shorter names would be in nearly every password

/** The rules that `password` breaks. Common passwords are refused by the server only: the list is long. */
export function brokenRules(password: string, { username = "", email = "" } = {}): PasswordRule[] {
  const length = [...password].length; // characters, as the server counts them
  const lowered = password.toLowerCase();
  const names = [username, email.split("@", 1)[0] ?? ""].map((name) => name.trim().toLowerCase());
  const isKept: Record<PasswordRule, boolean> = {
    length: length >= MIN && length <= MAX,
    lower: /\p{Lowercase}/u.test(password),
    upper: /\p{Uppercase}/u.test(password),
    digit: /\p{Nd}/u.test(password),
    notYou: password !== "" && !names.some((name) => name.length >= NAME_MIN && lowered.includes(name)),
  };
  return PASSWORD_RULES.filter((rule) => !isKept[rule]);
}

/** The code of contract 2.3 that a username breaks; null: it is one, though perhaps taken. */
export function usernameProblem(username: string): "required" | "min_length" | "max_length" | "invalid" | null {
  if (username === "") return "required";
  if (!/^[A-Za-z0-9_-]+$/.test(username)) return "invalid";
  if (username.length < 3) return "min_length";
  return username.length > 30 ? "max_length" : null;
}

/** Whether mail could go there; the server looks closer. */
export function isEmail(text: string): boolean {
  return text.length <= 254 && /^[^\s@]+@[^\s@.]+(\.[^\s@.]+)+$/.test(text);
}
