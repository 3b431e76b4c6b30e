import { useRef } from "preact/hooks";
import { t } from "../lib/i18n";
import { Button, IconButton } from "../ui/button";
import { copy, type Pane } from "./pane";
import type { Cell } from "./view";

/** The handles of a selection that was made with a finger, and what to do with it. */
export function SelectionLayer({ pane }: { pane: Pane }) {
  const range = pane.selection.range.value;
  if (range === null) return null;
  return (
    <div class="selection-layer">
      <Handle pane={pane} end="from" cell={range.from} />
      <Handle pane={pane} end="to" cell={range.to} />
      <div
        class={range.to.row < pane.view.size().rows / 2 ? "selection-actions low" : "selection-actions"}
        role="toolbar"
        aria-label={t("terminal.selection")}
        onMouseDown={(event) => event.preventDefault()} // the terminal keeps the focus, and the phone its keyboard
      >
        <Button
          kind="main"
          icon="copy"
          onClick={() => {
            void copy(pane.selection.text);
            pane.selection.clear();
          }}
        >
          {t("common.copy")}
        </Button>
        <Button onClick={() => pane.selection.all()}>{t("terminal.selectAll")}</Button>
        <IconButton icon="close" label={t("terminal.selectNothing")} onClick={() => pane.selection.clear()} />
      </div>
    </div>
  );
}

function Handle({ pane, end, cell }: { pane: Pane; end: "from" | "to"; cell: Cell }) {
  const held = useRef<"from" | "to" | null>(null);
  const box = pane.view.element.getBoundingClientRect();
  const grid = pane.view.grid();
  const { cols, rows } = pane.view.size();
  const width = grid.width / cols;
  const height = grid.height / rows;
  const left = grid.left - box.left + (cell.col + (end === "to" ? 1 : 0)) * width;
  const top = grid.top - box.top + (cell.row + 1) * height;
  return (
    <div
      class={`handle ${end}`}
      style={{ left: `${left}px`, top: `${top}px` }}
      aria-hidden="true"
      onPointerDown={(event) => {
        held.current = end;
        event.currentTarget.setPointerCapture(event.pointerId);
        event.preventDefault();
      }}
      onPointerMove={(event) => {
        if (held.current === null) return;
        // The finger is on the handle, which is below the cell that it stands for.
        const cellUnder = pane.view.cellAt(event.clientX, event.clientY - height);
        held.current = pane.selection.move(held.current, cellUnder);
      }}
      onPointerUp={() => {
        held.current = null;
      }}
    />
  );
}
