import { expect, test } from "vitest";
import { suggestName } from "../src/lib/names";
import { smallest, whyNot } from "../src/lib/sizes";
import type { Region, Size } from "../src/lib/types";
import { beginDraft, bodyOf, changeDraft, type Draft, draft, endDraft, keyFor } from "../src/screens/new-machine-draft";

const fresh: Draft = {
  template: null,
  size: null,
  region: null,
  name: "calm otter",
  storageGb: "",
  password: "",
  variables: [],
};

test("a suggested name is one that isn't taken, whatever its case", () => {
  const first = suggestName([], () => 0);
  const second = suggestName([first.toUpperCase()], () => 0);
  const third = suggestName([first, second], () => 0);
  expect(new Set([first, second, third]).size).toBe(3);
  expect(third.length).toBeLessThanOrEqual(50);
});

test("what is left alone is left to the server", () => {
  expect(bodyOf({ ...fresh, template: "python" })).toEqual({
    name: "calm otter",
    template_id: "python",
    size: null,
    region: null,
    storage_size_gb: null,
    user_password: null,
    environment_variables: {},
  });
  expect(bodyOf({ ...fresh, storageGb: "25", variables: [{ key: "A", value: "" }] })).toMatchObject({
    storage_size_gb: 25,
    environment_variables: { A: "" },
  });
});

test("the same request has the same key, another has another, and so has the next machine", () => {
  const key = keyFor(bodyOf(fresh));
  expect(keyFor(bodyOf(fresh))).toBe(key);
  expect(key).toMatch(/^[0-9a-f]{32}$/);
  const other = keyFor(bodyOf({ ...fresh, name: "other" }));
  expect(other).not.toBe(key);
  endDraft();
  expect(keyFor(bodyOf({ ...fresh, name: "other" }))).not.toBe(other);
});

test("a draft outlives its screen, but not its user", () => {
  endDraft();
  beginDraft("one", fresh);
  changeDraft({ name: "typed", password: "secret" });
  expect(beginDraft("one", fresh).name).toBe("typed");
  expect(beginDraft("another", fresh)).toEqual(fresh);
  expect(draft.value?.password).toBe("");
});

const size = (slug: string, more: Partial<Size> = {}) =>
  ({ slug, allowed: true, available: true, regions: ["nyc3"], ...more }) as Size;
const region = { slug: "nyc3", sizes: ["small", "large", "gold"] } as Region;

test("why a size can't be had", () => {
  expect(whyNot(size("small"), region)).toBeNull();
  expect(whyNot(size("small", { allowed: false }), region)).toBe("sizes.notInPlan");
  expect(whyNot(size("small", { available: false }), region)).toBe("sizes.soldOut");
  expect(whyNot(size("small", { regions: ["ams3"] }), region)).toBe("sizes.notInRegion");
  expect(whyNot(size("elsewhere"), region)).toBe("sizes.notInRegion");
  expect(whyNot(size("elsewhere"), null)).toBeNull();
});

test("the smallest is the first that can be had", () => {
  const sizes = [size("small", { allowed: false }), size("large"), size("gold")];
  expect(smallest(sizes, region)?.slug).toBe("large");
  expect(smallest([size("small", { allowed: false })], region)).toBeNull();
});
