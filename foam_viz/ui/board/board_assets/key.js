// Keys of a figure (colour scale, legend) drawn as HTML: inside the figure Plotly would measure them at every update.
import { colour } from "./paint.js";

const make = (tag, className, text) => {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
};
const isLegend = (trace) => trace.meta?.series === "legend";
const isName = (note) => note.name === "end label";

export const LEGEND_LINE = 19;

// Outside the page there is no table of runs: lines of several runs that nothing in the figure names get a legend below.
// Says how many lines of text it takes.
export function nameRuns({ data, layout }, width) {
  const own = data.filter((trace) => trace.type === "scatter" && trace.meta?.lane !== undefined && trace.showlegend !== false && trace.hoverinfo !== "skip");
  const first = new Map(own.toReversed().map((trace) => [trace.meta.lane, trace]));
  if (first.size < 2 || data.some(isLegend) || layout.annotations?.some(isName)) return 0;
  const shown = new Set(first.values());
  for (const trace of data) trace.showlegend = shown.has(trace);
  const letters = [...shown].reduce((sum, trace) => sum + trace.name.length + 9, 0);
  const lines = Math.ceil((letters * 7) / Math.max(width - 60, 200));
  layout.showlegend = true;
  layout.legend = { orientation: "h", x: 0, xanchor: "left", y: 0, yanchor: "bottom", yref: "container", font: { size: 12 } };
  layout.margin = { ...layout.margin, b: layout.margin.b + LEGEND_LINE * lines };
  return lines;
}

// On a narrow card the names of curves would lie over them: they stand above the plot instead.
const NARROW = 460;
export const namesAbove = (width) => width > 0 && width < NARROW;
export const withoutNames = (layout) => ({ ...layout, annotations: layout.annotations?.filter((note) => !isName(note)) });

export const withoutKey = (data) => data.filter((trace) => !isLegend(trace)).map((trace) => (trace.type === "heatmap" ? { ...trace, showscale: false } : trace));

export const plainLayout = (layout, hasKey) => ({ showlegend: false, annotations: (layout.annotations ?? []).filter((note) => note.name !== "key"),
  margin: { ...layout.margin, t: hasKey ? 4 : layout.margin.t } });

export function writeKey(element, figure, dark, width) {
  const curves = namesAbove(width) ? (figure?.layout.annotations?.filter(isName) ?? []).map((note) => ({ name: plain(note.text), marker: note.font })) : [];
  const legend = [...(figure?.data.filter(isLegend) ?? []), ...curves];
  const scaled = figure?.data.find((trace) => trace.type === "heatmap" && trace.colorbar);
  element.hidden = !legend.length && !scaled;
  const title = figure?.layout.annotations?.find((note) => note.name === "key")?.text ?? "";
  const shape = JSON.stringify([legend.map((trace) => trace.name), scaled && [title, scaled.colorscale, scaled.colorbar], dark]);
  if (element.hidden || element.dataset.shape === shape) return;
  element.dataset.shape = shape;
  element.replaceChildren(...(scaled ? scale(scaled, title, dark) : legend.map((trace) => entry(trace, dark))));
}

// Names are written for Plotly, which takes them for markup.
const plain = (text) => text.replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&amp;/g, "&");

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
