import { useEffect, useState } from "preact/hooks";
import { patch } from "../../lib/api";
import { usd } from "../../lib/format";
import { t } from "../../lib/i18n";
import { putMachine } from "../../lib/machines";
import { VOLUME_USD_PER_GB_MONTH } from "../../lib/sizes";
import type { Environment } from "../../lib/types";
import { changesOf, problemOf, toRecord, toRows } from "../../lib/variables";
import { Button } from "../../ui/button";
import { TextArea, TextField } from "../../ui/field";
import { Form, useRequest } from "../../ui/form";
import { toast } from "../../ui/toast";
import { lookAgain } from "../use-action";
import { VariablesEditor } from "../variables-editor";
import { DeleteSheet } from "./delete-sheet";
import { ResizeSheet } from "./resize-sheet";

export function MachineSettings({ machine }: { machine: Environment }) {
  const [asked, setAsked] = useState<"resize" | "delete" | null>(null);
  const close = () => setAsked(null);
  const canResize = machine.phase === "running" || machine.phase === "stopped";
  return (
    <>
      <Names machine={machine} />
      <Variables machine={machine} />
      <Storage machine={machine} />
      <section class="card">
        <h2>{t("new.size")}</h2>
        <p>{machine.size}</p>
        <Button icon="grow" disabled={!canResize} onClick={() => setAsked("resize")}>
          {t("action.resize")}
        </Button>
      </section>
      <section class="card">
        <h2>{t("action.delete")}</h2>
        <p>{t("does.delete")}</p>
        <Button kind="danger" icon="trash" onClick={() => setAsked("delete")}>
          {t("action.delete")}
        </Button>
      </section>
      {asked === "resize" && <ResizeSheet machine={machine} onClose={close} />}
      {asked === "delete" && <DeleteSheet machine={machine} onClose={close} />}
    </>
  );
}

/** Change something of the machine; what is shown is what the server has answered. */
async function change(machine: Environment, wanted: object): Promise<void> {
  try {
    putMachine(await patch<Environment>(`/environments/${machine.id}`, wanted));
  } catch (refused) {
    lookAgain(machine.id, refused);
    throw refused;
  }
  toast(t("common.saved"));
}

/**
 * What is edited, and what it was when that began. Unless something is edited it follows `present`, which others may change;
 * `saved` says that what is edited is what is present now.
 */
function useEdited<T>(present: T) {
  const [begun, setBegun] = useState(present);
  const [edited, setEdited] = useState(present);
  const isSame = (one: T, other: T) => JSON.stringify(one) === JSON.stringify(other);
  useEffect(() => {
    if (!isSame(edited, begun) || isSame(begun, present)) return;
    setBegun(present);
    setEdited(present);
  }, [JSON.stringify(present), begun]);
  return { begun, edited, setEdited, saved: () => setBegun(edited) };
}

function Names({ machine }: { machine: Environment }) {
  const { begun, edited, setEdited, saved } = useEdited({
    name: machine.name,
    description: machine.description ?? "",
  });
  const { name, description } = edited;
  const request = useRequest();
  async function save(): Promise<void> {
    await change(machine, {
      ...(name === begun.name ? {} : { name }),
      ...(description === begun.description ? {} : { description: description.trim() === "" ? null : description }),
    });
    saved();
  }
  return (
    <section class="card">
      <h2>{t("machine.about")}</h2>
      <Form request={request} fields={["name", "description"]} onSubmit={save}>
        <TextField
          label={t("new.name")}
          autocomplete="off"
          maxLength={50}
          value={name}
          onText={(text) => setEdited({ ...edited, name: text })}
          error={request.errors.name}
        />
        <TextArea
          label={t("machine.description")}
          rows={3}
          maxLength={500}
          value={description}
          onText={(text) => setEdited({ ...edited, description: text })}
          error={request.errors.description}
        />
        <Button kind="main" type="submit" busy={request.busy}>
          {t("common.save")}
        </Button>
      </Form>
    </section>
  );
}

function Variables({ machine }: { machine: Environment }) {
  const { begun, edited: rows, setEdited: setRows, saved } = useEdited(toRows(machine.environment_variables));
  const request = useRequest();
  const isValid = rows.every((_, index) => problemOf(rows, index) === null);
  const wrong = Object.keys(request.errors).find((field) => field.startsWith("environment_variables"));
  async function save(): Promise<void> {
    await change(machine, { environment_variables: changesOf(toRecord(begun), toRecord(rows)) });
    saved();
  }
  return (
    <section class="card">
      <Form request={request} fields={wrong ? [wrong] : []} onSubmit={async () => isValid && (await save())}>
        <VariablesEditor rows={rows} onChange={setRows} error={wrong && request.errors[wrong]} />
        <Button kind="main" type="submit" busy={request.busy} disabled={!isValid}>
          {t("common.save")}
        </Button>
      </Form>
    </section>
  );
}

function Storage({ machine }: { machine: Environment }) {
  const present = machine.storage_size_gb;
  const [wanted, setWanted] = useState("");
  const request = useRequest();
  const gb = Number(wanted);
  return (
    <section class="card">
      <h2>{t("machine.storage")}</h2>
      <p>{t("machine.storageNow", { gb: present, month: usd(present * VOLUME_USD_PER_GB_MONTH) })}</p>
      <Form
        request={request}
        fields={["storage_size_gb"]}
        onSubmit={async () => {
          await change(machine, { storage_size_gb: gb });
          setWanted("");
        }}
      >
        <TextField
          label={t("machine.storageWanted")}
          hint={
            gb > present
              ? t("machine.storageThen", { month: usd(gb * VOLUME_USD_PER_GB_MONTH) })
              : t("machine.storageHint")
          }
          inputMode="numeric"
          value={wanted}
          onText={(text) => setWanted(text.replace(/\D/g, ""))}
          error={request.errors.storage_size_gb}
        />
        <Button type="submit" icon="grow" busy={request.busy} disabled={gb <= present}>
          {t("machine.storageGrow")}
        </Button>
      </Form>
    </section>
  );
}
