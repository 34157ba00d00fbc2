// The cards in view as one HTML file that needs no server: the figures with Plotly inside, and what each card says.
import { LEGEND_LINE, nameRuns } from "./key.js";
import { card as paper, colour, ink } from "./paint.js";
import { fileName, headOf, saveText } from "./take.js";
import { LANES } from "./theme.js";

const escape = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/"/g, "&quot;");
// Inside a script element only "</" could end it, and "<!--" could begin what hides its end.
const json = (value) => JSON.stringify(value).replace(/</g, "\\u003c");

const BORDERS = { solid: "solid", dot: "dotted" }; // of a line of CSS; the others are dashed

// The table of runs: what the colours of the figures stand for, and what each run has reached.
function runs(lanes, dark) {
  if (!lanes.length) return "";
  const row = ({ position, label, cells, state }) => {
    const style = LANES[position % LANES.length];
    const swatch = `<i style="border-top:3px ${BORDERS[style.dash] ?? "dashed"} ${colour(style.colour, dark)}"></i>`;
    return `<tr><th>${swatch}${escape(label)}</th>${cells.map(([, text, help]) => `<td title="${escape(help)}">${escape(text)}</td>`).join("")}<td>${escape(state)}</td></tr>`;
  };
  const head = ["Run", ...lanes[0].cells.map(([label]) => label), "State"].map((label) => `<th>${escape(label)}</th>`).join("");
  return `<section class="runs"><table><thead><tr>${head}</tr></thead><tbody>${lanes.map(row).join("")}</tbody></table></section>`;
}

export async function page({ name, step, dark, plotly, cards, lanes }) {
  const library = await (await fetch(plotly)).text();
  const shown = cards.filter((card) => card.panel);
  const figures = {};
  const parts = shown.map((card, place) => {
    const { text, help } = card.panel;
    const { title, words: said } = headOf(card);
    const words = text.map(([label, value, meaning]) => `<tr title="${escape(meaning)}"><th>${escape(label)}</th><td>${escape(value)}</td></tr>`).join("");
    if (card.hasFigure) {
      const figure = card.figure();
      const below = LEGEND_LINE * nameRuns(figure, Math.max(card.width, 640));
      figures[`figure-${place}`] = { ...figure, height: Math.max(card.height, 320) + below };
    }
    return `<section><h2>${escape(title)}</h2><p>${escape(said)}</p>`
      + (card.hasFigure ? `<div id="figure-${place}"></div>` : `<table>${words}</table>`) + `<details><summary>How to read</summary>${escape(help)}</details></section>`;
  });
  const title = `${name}, step ${step.toLocaleString("en")}`;
  const lines = [
    "<!doctype html>", `<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escape(title)}</title>`,
    `<style>body{font:15px/1.45 system-ui,sans-serif;margin:24px auto;max-width:1100px;padding:0 16px;background:${paper(dark)};color:${ink(dark)}}`,
    "section{margin:0 0 32px}h2{font-size:17px;margin:0}p{margin:2px 0 8px;opacity:.8}th{text-align:left;font-weight:400;padding-right:16px;vertical-align:top}td{padding-right:16px;font-variant-numeric:tabular-nums}thead th{opacity:.8}.runs{overflow-x:auto}.runs i{display:inline-block;width:24px;margin-right:8px;vertical-align:middle}</style></head><body>",
    `<h1>${escape(title)}</h1>`, runs(lanes, dark), ...parts,
    `<script>${library.replace(/<\/script/gi, "<\\/script")}</script>`,
    `<script>const figures = ${json(figures)};`,
    "for (const [id, { data, layout, height }] of Object.entries(figures)) Plotly.newPlot(id, data, { ...layout, height, autosize: true }, { responsive: true, displaylogo: false });",
    "</script></body></html>",
  ];
  saveText(fileName({ name, step }, "cards", "html"), "text/html", lines.join("\n"));
}
