import { useState } from "preact/hooks";
import { useAnswer } from "../../lib/answer";
import { ApiError, post, remove } from "../../lib/api";
import { say } from "../../lib/errors";
import { dateTime } from "../../lib/format";
import { t } from "../../lib/i18n";
import { keyComment, keyProblem } from "../../lib/ssh-key";
import type { SshKey } from "../../lib/types";
import { Button, IconButton } from "../../ui/button";
import { Dialog } from "../../ui/dialog";
import { TextArea, TextField } from "../../ui/field";
import { Form, useRequest } from "../../ui/form";
import { Notice, Spinner } from "../../ui/notice";
import { toast } from "../../ui/toast";

/** SSH keys, which all machines let in. */
export function Keys() {
  const keys = useAnswer<SshKey[]>("/users/me/ssh-keys?limit=200");
  const [isAdding, setAdding] = useState(false);
  const [doomed, setDoomed] = useState<SshKey | null>(null);
  return (
    <section class="card">
      <p class="hint">{t("settings.keysLong")}</p>
      {keys.error !== null && (
        <>
          <Notice kind="bad">{say(keys.error)}</Notice>
          <Button onClick={keys.again}>{t("common.retry")}</Button>
        </>
      )}
      {keys.value === null && keys.error === null && <Spinner label={t("common.loading")} />}
      {keys.value?.length === 0 && <p>{t("settings.noKeys")}</p>}
      <ul class="rows">
        {keys.value?.map((key) => (
          <li key={key.id}>
            <div>
              <strong>{key.name}</strong>
              <p class="hint">
                <code>{key.fingerprint}</code>
                <br />
                {key.public_key.split(" ", 1)[0]} · {t("settings.since", { when: dateTime(key.created_at) })}
              </p>
            </div>
            <IconButton
              icon="trash"
              label={t("settings.deleteKey", { name: key.name })}
              onClick={() => setDoomed(key)}
            />
          </li>
        ))}
      </ul>
      <Button kind="main" icon="plus" onClick={() => setAdding(true)}>
        {t("settings.addKey")}
      </Button>
      {isAdding && <AddKey onDone={keys.again} onClose={() => setAdding(false)} />}
      {doomed && <DeleteKey doomed={doomed} onDone={keys.again} onClose={() => setDoomed(null)} />}
    </section>
  );
}

interface SheetProps {
  onDone(): void;
  onClose(): void;
}

function AddKey({ onDone, onClose }: SheetProps) {
  const [line, setLine] = useState("");
  const [name, setName] = useState("");
  const [isTried, setTried] = useState(false);
  const request = useRequest();
  const wrong = keyProblem(line);
  // A private key is called one at once, before anything is done with it.
  const ours = wrong !== null && (isTried || wrong === "private") ? t(`settings.key.${wrong}`) : undefined;
  return (
    <Dialog title={t("settings.addKey")} onClose={onClose}>
      <Form
        request={request}
        fields={["public_key", "name"]}
        invalid={wrong === null ? [] : ["public_key"]}
        onRefused={() => setTried(true)}
        onSubmit={async () => {
          await post<SshKey>("/users/me/ssh-keys", { public_key: line, name: name.trim() || null });
          toast(t("settings.keyAdded"));
          onDone();
          onClose();
        }}
      >
        <TextArea
          label={t("settings.publicKey")}
          hint={t("settings.publicKeyHint")}
          class="key"
          name="public-key"
          rows={4}
          autocomplete="off"
          autocapitalize="none"
          spellcheck={false}
          required
          value={line}
          onText={setLine}
          error={ours ?? request.errors.public_key}
        />
        {navigator.clipboard?.readText && (
          <Button icon="copy" onClick={() => navigator.clipboard.readText().then(setLine, () => setTried(false))}>
            {t("settings.paste")}
          </Button>
        )}
        <TextField
          label={t("settings.keyName")}
          hint={t("settings.keyNameHint")}
          name="key-name"
          autocomplete="off"
          maxLength={100}
          placeholder={wrong === null ? keyComment(line) : ""}
          value={name}
          onText={setName}
          error={request.errors.name}
        />
        <Button kind="main" type="submit" busy={request.busy}>
          {t("settings.addKey")}
        </Button>
      </Form>
    </Dialog>
  );
}

function DeleteKey({ doomed, onDone, onClose }: SheetProps & { doomed: SshKey }) {
  const request = useRequest();
  const removeIt = async () => {
    try {
      await remove(`/users/me/ssh-keys/${doomed.id}`);
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 404)) throw error; // deleted elsewhere: just as well
    }
    onDone();
    onClose();
  };
  return (
    <Dialog title={t("settings.deleteKey", { name: doomed.name })} onClose={onClose}>
      {request.error !== null && <Notice kind="bad">{say(request.error)}</Notice>}
      <p>{t("settings.deleteKeyLong")}</p>
      <Button kind="danger" icon="trash" busy={request.busy} onClick={() => request.run(removeIt)}>
        {t("common.delete")}
      </Button>
      <Button onClick={onClose}>{t("common.cancel")}</Button>
    </Dialog>
  );
}
