import { type Point, path, summary, thinned } from "../../lib/charts";
import { t } from "../../lib/i18n";

const WIDTH = 600;
const HEIGHT = 120;

export interface Line {
  label: string;
  points: Point[];
}

/**
 * Lines over time, and beside them in words what they show. The second is dashed, so that colour alone tells nothing.
 * `top`: the highest value of the field; null: the highest that there is.
 */
export function Chart({
  title,
  lines,
  from,
  to,
  top = null,
  show,
}: {
  title: string;
  lines: Line[];
  from: number;
  to: number;
  top?: number | null;
  show(value: number): string;
}) {
  const sums = lines.map(({ points }) => summary(points));
  const highest = top ?? Math.max(1, ...sums.map((sum) => sum?.most ?? 0));
  return (
    <figure class="chart">
      <figcaption>
        <strong>{title}</strong>
        {lines.map(({ label }, index) => {
          const sum = sums[index];
          return (
            <span key={label} class={`series s${index}`}>
              {label && `${label}: `}
              {sum
                ? t("metrics.summary", { last: show(sum.last), mean: show(sum.mean), most: show(sum.most) })
                : t("metrics.none")}
            </span>
          );
        })}
      </figcaption>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
        <path class="rule" d={`M0 ${HEIGHT / 2}H${WIDTH}M0 1H${WIDTH}M0 ${HEIGHT - 1}H${WIDTH}`} />
        {lines.map(({ label, points }, index) => (
          <path
            key={label}
            class={`line s${index}`}
            d={path(thinned(points), { from, to, top: highest, width: WIDTH, height: HEIGHT })}
          />
        ))}
      </svg>
      <p class="scale hint" aria-hidden="true">
        <span>{show(highest)}</span>
      </p>
    </figure>
  );
}
