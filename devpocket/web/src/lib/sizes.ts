/** Which sizes may be had where, and why not. */

import type { Text } from "./i18n";
import type { Region, Size } from "./types";

/** What a volume costs, USD a GB and month, and the hours of a month that the cloud counts (docs/environments.md). */
export const VOLUME_USD_PER_GB_MONTH = 0.1;

/** Why `size` can't be had in `region` (null: wherever there is room), or null. */
export function whyNot(size: Size, region: Region | null): Text | null {
  if (!size.allowed) return "sizes.notInPlan";
  if (!size.available) return "sizes.soldOut";
  if (region !== null && !(size.regions.includes(region.slug) && region.sizes.includes(size.slug)))
    return "sizes.notInRegion";
  return null;
}

/** The one that the server takes where it is left to it and the template asks for nothing more. */
export function smallest(sizes: readonly Size[], region: Region | null): Size | null {
  return sizes.find((size) => whyNot(size, region) === null) ?? null;
}

/** What a copy of so many GB costs. The API doesn't tell: docs/environments.md, "What costs what". */
export function snapshotUsdPerMonth(gb: number): number {
  return gb * 0.06;
}
