import { useSearchParams } from "wouter-preact";
import { safeNext } from "../lib/next";

/** Where to go after signing in, as the address says. */
export function useNext(): string {
  return safeNext(useSearchParams()[0].get("next"));
}
