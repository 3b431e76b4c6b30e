import { useState } from "preact/hooks";
import { Link } from "wouter-preact";
import { useAnswer } from "../../lib/answer";
import { patch } from "../../lib/api";
import { fieldText, say } from "../../lib/errors";
import { t } from "../../lib/i18n";
import { usernameProblem } from "../../lib/password";
import { updateUser, user } from "../../lib/session";
import type { Region, User } from "../../lib/types";
import { Button } from "../../ui/button";
import { SelectField, TextField } from "../../ui/field";
import { Form, useRequest } from "../../ui/form";
import { Notice } from "../../ui/notice";
import { toast } from "../../ui/toast";

export function Profile() {
  return user.value && <ProfileForm who={user.value} />;
}

function ProfileForm({ who }: { who: User }) {
  const [name, setName] = useState(who.full_name ?? "");
  const [username, setUsername] = useState(who.username);
  const [region, setRegion] = useState(who.preferred_region ?? "");
  const regions = useAnswer<Region[]>("/regions");
  const request = useRequest();
  const ofUsername = usernameProblem(username.trim());
  const choices: [string, string, boolean?][] = (regions.value ?? []).map((one) => [
    one.slug,
    `${one.name} (${one.slug})`,
    !one.available,
  ]);
  // What is chosen is shown also while the list isn't there, or when it is no longer on it.
  if (region !== "" && !choices.some(([slug]) => slug === region)) choices.push([region, region]);
  return (
    <section class="card">
      <Form
        request={request}
        fields={["full_name", "username", "preferred_region"]}
        invalid={ofUsername === null ? [] : ["username"]}
        onSubmit={async () => {
          const changes = {
            full_name: name.trim() || null,
            username: username.trim(),
            preferred_region: region || null,
          };
          updateUser(await patch<User>("/users/me", changes));
          toast(t("common.saved"));
        }}
      >
        <TextField
          label={t("settings.fullName")}
          hint={t("common.optional")}
          name="name"
          autocomplete="name"
          value={name}
          onText={setName}
          error={request.errors.full_name}
        />
        <TextField
          label={t("account.username")}
          hint={t("account.usernameHint")}
          name="username"
          autocomplete="username"
          autocapitalize="none"
          spellcheck={false}
          required
          value={username}
          onText={setUsername}
          error={(ofUsername && fieldText("username", ofUsername)) ?? request.errors.username}
        />
        <SelectField
          label={t("settings.region")}
          hint={t("settings.regionHint")}
          value={region}
          options={[["", t("settings.regionNone")], ...choices]}
          onPick={setRegion}
          error={request.errors.preferred_region}
        />
        {regions.error !== null && regions.value === null && (
          <Notice kind="warn">
            {t("settings.regionsAway")} {say(regions.error)}{" "}
            <button type="button" class="link" onClick={regions.again}>
              {t("common.retry")}
            </button>
          </Notice>
        )}
        <Button kind="main" type="submit" busy={request.busy}>
          {t("common.save")}
        </Button>
      </Form>
      <dl class="facts">
        <dt>{t("account.email")}</dt>
        <dd>
          {who.email}{" "}
          {who.is_verified ? (
            <span class="hint">{t("settings.verified")}</span>
          ) : (
            <Link href="/verify?next=/settings/profile">{t("settings.verify")}</Link>
          )}
        </dd>
      </dl>
    </section>
  );
}
