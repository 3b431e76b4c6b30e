import { useState } from "preact/hooks";
import { t } from "../lib/i18n";
import { Button, IconButton } from "../ui/button";
import { Dialog } from "../ui/dialog";
import { TextField } from "../ui/field";
import { Notice } from "../ui/notice";

const NAME = /^[a-z0-9-]{1,32}$/;

interface Props {
  /** The machine's own session is null. */
  names: (string | null)[];
  current: string | null;
  onPick(name: string | null): void;
  onAdd(name: string): void;
  /** End the current one, with all that runs in it. */
  onEnd(): void;
}

export const sessionLabel = (name: string | null): string => name ?? t("terminal.tab.own");

export function Tabs({ names, current, onPick, onAdd, onEnd }: Props) {
  const [isAdding, setAdding] = useState(false);
  return (
    <nav class="terminal-tabs" aria-label={t("terminal.tabs")}>
      <div class="tab-strip">
        {names.map((name) => (
          <span key={name ?? ""} class={name === current ? "tab current" : "tab"}>
            <button type="button" aria-current={name === current ? "page" : undefined} onClick={() => onPick(name)}>
              {sessionLabel(name)}
            </button>
            {name === current && (
              <IconButton icon="close" label={t("terminal.tab.end", { name: sessionLabel(name) })} onClick={onEnd} />
            )}
          </span>
        ))}
      </div>
      <IconButton icon="plus" label={t("terminal.tab.add")} onClick={() => setAdding(true)} />
      {isAdding && (
        <AddTab
          names={names}
          onClose={() => setAdding(false)}
          onAdd={(name) => {
            setAdding(false);
            onAdd(name);
          }}
        />
      )}
    </nav>
  );
}

function AddTab({ names, onClose, onAdd }: { names: (string | null)[]; onClose(): void; onAdd(name: string): void }) {
  const [name, setName] = useState(() => freeName(names));
  const isGood = NAME.test(name);
  return (
    <Dialog title={t("terminal.tab.add")} onClose={onClose}>
      <form
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          if (isGood) onAdd(name);
        }}
      >
        <TextField
          label={t("terminal.tab.name")}
          hint={t("terminal.tab.nameHint")}
          error={isGood || name === "" ? undefined : t("terminal.tab.nameBad")}
          value={name}
          onText={setName}
          autocapitalize="none"
          autocomplete="off"
          spellcheck={false}
          maxLength={32}
        />
        <Button kind="main" type="submit" disabled={!isGood}>
          {t("terminal.tab.open")}
        </Button>
      </form>
    </Dialog>
  );
}

/** The first of shell-2, shell-3, … that there isn't. */
export function freeName(names: (string | null)[]): string {
  let number = 2;
  while (names.includes(`shell-${number}`)) number++;
  return `shell-${number}`;
}

export function EndSession({
  name,
  busy,
  error,
  onClose,
  onEnd,
}: {
  name: string | null;
  busy: boolean;
  /** Why it could not be ended. */
  error: string | null;
  onClose(): void;
  onEnd(): void;
}) {
  return (
    <Dialog title={t("terminal.tab.endTitle", { name: sessionLabel(name) })} onClose={onClose}>
      {error !== null && <Notice kind="bad">{error}</Notice>}
      <p>{t("terminal.tab.endLong")}</p>
      <div class="buttons">
        <Button kind="danger" icon="trash" busy={busy} onClick={onEnd}>
          {t("terminal.tab.endYes")}
        </Button>
        <Button onClick={onClose}>{t("common.cancel")}</Button>
      </div>
    </Dialog>
  );
}
