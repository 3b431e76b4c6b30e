import { useId } from "preact/hooks";
import { Link } from "wouter-preact";
import { useAnswer } from "../lib/answer";
import { ApiError } from "../lib/api";
import { bytes, usd } from "../lib/format";
import { t } from "../lib/i18n";
import { smallest, whyNot } from "../lib/sizes";
import type { Region, Size, Template, UserStats } from "../lib/types";
import { Notice } from "../ui/notice";

/** A group of choices of which one is picked, as cards. */
export function TemplatePicker({
  templates,
  picked,
  onPick,
  error,
}: {
  templates: Template[];
  picked: string | null;
  onPick(id: string): void;
  error?: string | undefined;
}) {
  const id = useId();
  return (
    <fieldset class="choices" aria-describedby={error ? `${id}-error` : undefined}>
      <legend>{t("new.template")}</legend>
      {error && (
        <p class="problem" id={`${id}-error`}>
          {error}
        </p>
      )}
      <div class="grid">
        {templates.map((template) => (
          <label key={template.id} class="choice">
            <input
              type="radio"
              name="template"
              value={template.id}
              checked={picked === template.id}
              aria-labelledby={`${id}-${template.id}-name`}
              aria-describedby={`${id}-${template.id}`}
              onChange={() => onPick(template.id)}
            />
            <span class="choice-name" id={`${id}-${template.id}-name`}>
              {template.display_name}
              {template.status === "beta" && <span class="tag beta">{t("new.beta")}</span>}
            </span>
            <span class="hint" id={`${id}-${template.id}`}>
              {template.description}
              <span class="tags">
                {template.tags.slice(0, 4).map((tag) => (
                  <span key={tag} class="tag">
                    {tag}
                  </span>
                ))}
              </span>
            </span>
          </label>
        ))}
      </div>
    </fieldset>
  );
}

/** `null` leaves it to the server, which knows what the template needs at least. */
export function SizePicker({
  sizes,
  region,
  picked,
  onPick,
  error,
}: {
  sizes: Size[];
  region: Region | null;
  picked: string | null;
  onPick(slug: string | null): void;
  error?: string | undefined;
}) {
  const least = smallest(sizes, region);
  return (
    <fieldset class="choices">
      <legend>{t("new.size")}</legend>
      {error && (
        <p class="problem" role="alert">
          {error}
        </p>
      )}
      <div class="rows">
        <label class="choice">
          <input type="radio" name="size" checked={picked === null} onChange={() => onPick(null)} />
          <span class="choice-name">{t("new.sizeAuto")}</span>
          <span class="hint">{least ? t("new.sizeFrom", { month: usd(least.price_monthly) }) : t("sizes.none")}</span>
        </label>
        {sizes.map((size) => (
          <SizeChoice
            key={size.slug}
            size={size}
            why={whyNot(size, region)}
            checked={picked === size.slug}
            onPick={onPick}
          />
        ))}
      </div>
    </fieldset>
  );
}

export function SizeChoice({
  size,
  why,
  checked,
  onPick,
}: {
  size: Size;
  why: ReturnType<typeof whyNot>;
  checked: boolean;
  onPick(slug: string): void;
}) {
  const id = useId();
  return (
    <label class={`choice ${why ? "off" : ""}`}>
      <input
        type="radio"
        name="size"
        checked={checked}
        disabled={why !== null}
        aria-labelledby={`${id}-name`}
        aria-describedby={id}
        onChange={() => onPick(size.slug)}
      />
      <span class="choice-name" id={`${id}-name`}>
        {t("sizes.what", { cpus: size.vcpus, memory: bytes(size.memory * 2 ** 20), disk: size.disk })}
      </span>
      <span class="hint" id={id}>
        {t("sizes.price", { month: usd(size.price_monthly), hour: usd(size.price_hourly) })}
        {why && <strong> {t(why)}</strong>}
      </span>
    </label>
  );
}

/** Said before somebody fills in a form for nothing. Where it can't be asked, the server says so afterwards. */
export function LimitNotice() {
  const limits = useAnswer<UserStats>("/users/me/stats").value?.limits;
  if (!limits || limits.max_environments === null || limits.used < limits.max_environments) return null;
  return (
    <Notice kind="warn">
      <p>{t("new.limit", { limit: limits.max_environments })}</p>
      <Link href="/" class="button">
        {t("common.home")}
      </Link>
    </Notice>
  );
}

/** What the user can do about a refusal, beside trying again by the button below. */
export function WayOn({ error }: { error: unknown }) {
  if (!(error instanceof ApiError)) return null;
  if (error.code === "email_not_verified")
    return (
      <Link href="/verify" class="button">
        {t("machines.verify")}
      </Link>
    );
  if (error.code === "environment_limit_reached")
    return (
      <Link href="/" class="button">
        {t("common.home")}
      </Link>
    );
  if (error.status === 0 || error.status >= 500) return <p>{t("new.notTwice")}</p>;
  return null;
}
