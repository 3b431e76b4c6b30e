import type { terminal as en } from "../en/terminal";

export const terminal: Record<keyof typeof en, string> = {};
