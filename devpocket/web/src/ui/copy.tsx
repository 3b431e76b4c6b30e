import { useRef } from "preact/hooks";
import { t } from "../lib/i18n";
import { Button } from "./button";
import { TextField } from "./field";
import { toast } from "./toast";

/** A line to take elsewhere. Where the browser keeps scripts from the clipboard (plain http), it is selected, to copy by hand. */
export function CopyField({ label, value }: { label: string; value: string }) {
  const box = useRef<HTMLDivElement>(null);
  async function copy(): Promise<void> {
    try {
      await navigator.clipboard.writeText(value);
      toast(t("common.copied"));
    } catch {
      box.current?.querySelector("input")?.select();
    }
  }
  return (
    <div class="copy" ref={box}>
      <TextField
        label={label}
        value={value}
        readOnly
        onText={() => undefined}
        onFocus={(event) => event.currentTarget.select()}
      />
      <Button icon="copy" onClick={copy}>
        {t("common.copy")}
        <span class="unseen"> {label}</span>
      </Button>
    </div>
  );
}
