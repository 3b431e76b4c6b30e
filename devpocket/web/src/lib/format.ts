/** Numbers, times and money as people read them, in their language. */

import { locale } from "./i18n";

export function usd(amount: number): string {
  const digits = amount !== 0 && Math.abs(amount) < 0.1 ? 4 : 2; // an hour of the smallest machine is $0.006
  return new Intl.NumberFormat(locale.value, {
    style: "currency",
    currency: "USD",
    currencyDisplay: "narrowSymbol",
    maximumFractionDigits: digits,
  }).format(amount);
}

const STEPS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
  ["second", 1],
];

/** "2 hours ago", "in 5 minutes". */
export function ago(time: string, now = Date.now()): string {
  const seconds = Math.round((Date.parse(time) - now) / 1000);
  const [unit, size] = STEPS.find(([, one]) => Math.abs(seconds) >= one) ?? ["second", 1];
  return new Intl.RelativeTimeFormat(locale.value, { numeric: "auto" }).format(Math.round(seconds / size), unit);
}

export function dateTime(time: string): string {
  return new Intl.DateTimeFormat(locale.value, { dateStyle: "medium", timeStyle: "short" }).format(new Date(time));
}

/** "14:35": of today. */
export function clock(atMs: number): string {
  return new Intl.DateTimeFormat(locale.value, { timeStyle: "short" }).format(atMs);
}

/** "40 seconds", "15 minutes": how long, rounded up, so that waiting that long is enough. */
export function duration(seconds: number): string {
  const [count, unit] = seconds <= 90 ? [Math.ceil(seconds), "second"] : [Math.ceil(seconds / 60), "minute"];
  return new Intl.NumberFormat(locale.value, { style: "unit", unit: unit as string, unitDisplay: "long" }).format(
    count as number,
  );
}

export function bytes(count: number): string {
  const power = count < 1 ? 0 : Math.min(4, Math.floor(Math.log2(count) / 10));
  const unit = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"][power] ?? "byte";
  return new Intl.NumberFormat(locale.value, {
    style: "unit",
    unit,
    unitDisplay: "short",
    maximumFractionDigits: 1,
  }).format(count / 1024 ** power);
}

export function percent(value: number): string {
  return new Intl.NumberFormat(locale.value, { style: "percent", maximumFractionDigits: 0 }).format(value / 100);
}

export function number(value: number): string {
  return new Intl.NumberFormat(locale.value, { maximumFractionDigits: 2 }).format(value);
}

/** "3 days", "2 hours": for how long something has been, in its largest unit. */
export function since(seconds: number): string {
  const [unit, size] = STEPS.find(([, one]) => seconds >= one) ?? ["second", 1];
  return new Intl.NumberFormat(locale.value, { style: "unit", unit, unitDisplay: "long" }).format(
    Math.floor(seconds / size),
  );
}
