import { useEffect, useRef } from "preact/hooks";
import { useLocation } from "wouter-preact";
import { useAnswer } from "../lib/answer";
import { post } from "../lib/api";
import { say } from "../lib/errors";
import { usd } from "../lib/format";
import { t } from "../lib/i18n";
import { machines, putMachine } from "../lib/machines";
import { suggestName } from "../lib/names";
import { user } from "../lib/session";
import { smallest, whyNot } from "../lib/sizes";
import type { Environment, Region, Size, Template } from "../lib/types";
import { problemOf } from "../lib/variables";
import { Button } from "../ui/button";
import { PasswordField, SelectField, TextField } from "../ui/field";
import { useRequest } from "../ui/form";
import { Notice, Spinner } from "../ui/notice";
import { Page } from "../ui/page";
import { Unverified } from "./machines";
import { awaited, beginDraft, bodyOf, changeDraft, draft, endDraft, keyFor } from "./new-machine-draft";
import { LimitNotice, SizePicker, TemplatePicker, WayOn } from "./new-machine-parts";
import { VariablesEditor } from "./variables-editor";
import "../styles/machines.css";

/** Two taps: a template, and "Create". All else has something that fits already. */
export function NewMachine() {
  const templates = useAnswer<Template[]>("/templates?limit=200");
  const sizes = useAnswer<Size[]>("/sizes");
  const regions = useAnswer<Region[]>("/regions");
  const all = [templates, sizes, regions];
  const failed = all.find(({ value, error }) => value === null && error !== null);
  return (
    <Page title={t("new.title")} back="/">
      <Unverified />
      <LimitNotice />
      {failed && (
        <Notice kind="bad">
          <p>{say(failed.error)}</p>
          <Button
            icon="refresh"
            onClick={() => {
              for (const { error, again } of all) if (error !== null) again();
            }}
          >
            {t("common.retry")}
          </Button>
        </Notice>
      )}
      {templates.value && sizes.value && regions.value ? (
        <NewForm
          templates={templates.value}
          sizes={sizes.value}
          regions={regions.value.filter(({ available }) => available)}
          onOutdated={templates.again}
        />
      ) : (
        !failed && <Spinner label={t("common.loading")} />
      )}
    </Page>
  );
}

interface Choices {
  templates: Template[];
  sizes: Size[];
  regions: Region[];
  onOutdated(): void;
}

function NewForm({ templates, sizes, regions, onOutdated }: Choices) {
  const who = user.value;
  const taken = (machines.value ?? []).map(({ name }) => name);
  const preferred = regions.find(({ slug }) => slug === who?.preferred_region)?.slug ?? null;
  beginDraft(who?.id ?? "", {
    template: null,
    size: null,
    region: preferred,
    name: suggestName(taken),
    storageGb: "",
    password: "",
    variables: [],
  });
  const now = draft.value;
  const request = useRequest();
  const [, go] = useLocation();
  const form = useRef<HTMLFormElement>(null);
  const { error, errors: problems } = request;
  useEffect(() => {
    if (error === null) return;
    // Where the eye has to be: the first field that is refused; the refusal itself stands above the button.
    const wrong = form.current?.querySelector<HTMLElement>("[aria-invalid=true]");
    wrong?.closest("details")?.setAttribute("open", "");
    wrong?.focus();
    if ("template_id" in problems) onOutdated();
  }, [error]);
  if (now === null) return null;

  const region = regions.find(({ slug }) => slug === now.region) ?? null;
  const size = sizes.find(({ slug }) => slug === now.size) ?? smallest(sizes, region);
  const isValid = now.variables.every((_, index) => problemOf(now.variables, index) === null);

  async function create(): Promise<void> {
    if (now === null) return;
    const body = bodyOf(now);
    const made = await post<Environment>("/environments", body, { headers: { "Idempotency-Key": keyFor(body) } });
    endDraft();
    putMachine(made);
    awaited.value = made.id;
    go(`/machines/${made.id}`, { replace: true }); // "back" leads to the list, not to an empty form
  }

  return (
    <form
      ref={form}
      noValidate
      class="new"
      onSubmit={(event) => {
        event.preventDefault();
        if (now.template !== null && isValid) void request.run(create);
      }}
    >
      <TemplatePicker
        templates={templates}
        picked={now.template}
        onPick={(template) => changeDraft({ template })}
        error={problems.template_id}
      />
      <section class="card">
        <TextField
          label={t("new.name")}
          hint={t("new.nameHint")}
          autocomplete="off"
          maxLength={50}
          value={now.name}
          onText={(name) => changeDraft({ name })}
          error={problems.name}
        />
        <Button icon="refresh" onClick={() => changeDraft({ name: suggestName([...taken, now.name]) })}>
          {t("new.otherName")}
        </Button>
        <SizePicker
          sizes={sizes}
          region={region}
          picked={now.size}
          onPick={(picked) => changeDraft({ size: picked })}
          error={problems.size}
        />
        <SelectField
          label={t("new.region")}
          value={now.region ?? ""}
          options={[["", t("new.anyRegion")], ...regions.map(({ slug, name }) => [slug, name] as const)]}
          onPick={(slug) => {
            const there = regions.find((one) => one.slug === slug) ?? null;
            const isKept = size !== null && whyNot(size, there) === null;
            changeDraft({ region: there?.slug ?? null, size: isKept ? now.size : null });
          }}
          error={problems.region}
        />
        <TextField
          label={t("new.storage")}
          hint={t("new.storageHint")}
          inputMode="numeric"
          placeholder="10"
          value={now.storageGb}
          onText={(text) => changeDraft({ storageGb: text.replace(/\D/g, "") })}
          error={problems.storage_size_gb}
        />
        <details>
          <summary>{t("new.advanced")}</summary>
          <div class="folded">
            <PasswordField
              label={t("new.password")}
              hint={t("new.passwordHint")}
              autocomplete="new-password"
              value={now.password}
              onText={(password) => changeDraft({ password })}
              error={problems.user_password}
            />
            <VariablesEditor
              rows={now.variables}
              onChange={(variables) => changeDraft({ variables })}
              error={problems.environment_variables}
            />
          </div>
        </details>
      </section>
      <div class="bottom">
        {error !== null && (
          <Notice kind="bad">
            <p>{Object.values(problems)[0] ?? say(error)}</p>
            <WayOn error={error} />
          </Notice>
        )}
        <Button kind="main" type="submit" busy={request.busy} disabled={now.template === null || !isValid}>
          {now.template === null ? t("new.pickFirst") : t("new.create")}
          {now.template !== null && size && (
            <span class="price">
              {t(now.size === null ? "new.priceFrom" : "new.price", { month: usd(size.price_monthly) })}
            </span>
          )}
        </Button>
      </div>
    </form>
  );
}
