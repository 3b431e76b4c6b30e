import { useState } from "preact/hooks";
import { useLocation } from "wouter-preact";
import { ApiError, remove } from "../../lib/api";
import { t } from "../../lib/i18n";
import { dropMachine } from "../../lib/machines";
import type { Environment } from "../../lib/types";
import { Button } from "../../ui/button";
import { Dialog } from "../../ui/dialog";
import { TextField } from "../../ui/field";
import { useRequest } from "../../ui/form";
import { toast } from "../../ui/toast";
import { Refusal } from "../use-action";

/** Nothing is left afterwards, so that the name has to be typed; capitals don't matter. */
export function DeleteSheet({ machine, onClose }: { machine: Environment; onClose(): void }) {
  const [typed, setTyped] = useState("");
  const request = useRequest();
  const [, go] = useLocation();
  const isMeant = typed.trim().toLowerCase() === machine.name.toLowerCase();
  async function destroy(): Promise<void> {
    try {
      await remove(`/environments/${machine.id}`);
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 404)) throw error; // gone already: as it was meant
    }
    toast(t("machine.deletedToast", { name: machine.name }));
    go("/");
    dropMachine(machine.id);
  }
  return (
    <Dialog title={`${t("action.delete")}: ${machine.name}`} onClose={onClose}>
      <ul class="effects">
        <li>{t("does.delete")}</li>
        <li>{t("keeps.nothing")}</li>
        <li>{t("costs.delete")}</li>
      </ul>
      <form
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          if (isMeant) void request.run(destroy);
        }}
      >
        <TextField
          label={t("machine.typeName", { name: machine.name })}
          autocomplete="off"
          autocapitalize="none"
          spellcheck={false}
          value={typed}
          onText={setTyped}
        />
        {request.error !== null && <Refusal error={request.error} />}
        <div class="buttons">
          <Button kind="danger" type="submit" icon="trash" busy={request.busy} disabled={!isMeant}>
            {t("machine.deleteForever")}
          </Button>
          <Button onClick={onClose}>{t("common.cancel")}</Button>
        </div>
      </form>
    </Dialog>
  );
}
