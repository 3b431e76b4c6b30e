import type { machines as en } from "../en/machines";

export const machines: Record<keyof typeof en, string> = {
  "machines.title": "Máy của bạn",
};
