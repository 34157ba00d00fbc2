// Keys of a figure (colour scale, legend) drawn as HTML: inside the figure Plotly would measure them at every update.
import { colour } from "./paint.js";

const make = (tag, className, text) => {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
};
const isLegend = (trace) => trace.meta?.series === "legend";

export const withoutKey = (data) => data.filter((trace) => !isLegend(trace)).map((trace) => (trace.type === "heatmap" ? { ...trace, showscale: false } : trace));

export const plainLayout = (layout, hasKey) => ({ showlegend: false, annotations: (layout.annotations ?? []).filter((note) => note.name !== "key"),
  margin: { ...layout.margin, t: hasKey ? 4 : layout.margin.t } });

export function writeKey(element, figure, dark) {
  const legend = figure?.data.filter(isLegend) ?? [];
  const scaled = figure?.data.find((trace) => trace.type === "heatmap" && trace.colorbar);
  element.hidden = !legend.length && !scaled;
  const title = figure?.layout.annotations?.find((note) => note.name === "key")?.text ?? "";
  const shape = JSON.stringify([legend.map((trace) => trace.name), scaled && [title, scaled.colorscale, scaled.colorbar], dark]);
  if (element.hidden || element.dataset.shape === shape) return;
  element.dataset.shape = shape;
  element.replaceChildren(...(scaled ? scale(scaled, title, dark) : legend.map((trace) => entry(trace, dark))));
}

function entry(trace, dark) {
  const item = make("span", "fb-entry", trace.name);
  const mark = make("i");
  mark.style.background = colour(trace.marker.color, dark);
  item.prepend(mark);
  return item;
}

function scale(trace, title, dark) {
  const bar = make("span", "fb-scale");
  bar.style.background = `linear-gradient(90deg, ${trace.colorscale.map(([at, hue]) => `${colour(hue, dark)} ${100 * at}%`).join(", ")})`;
  trace.colorbar.tickvals.forEach((value, index) => {
    const tick = make("span", "fb-tick", trace.colorbar.ticktext[index]);
    tick.style.left = `${(100 * (value - trace.zmin)) / (trace.zmax - trace.zmin)}%`;
    bar.append(tick);
  });
  return [make("span", "fb-scale-title", title), bar];
}
