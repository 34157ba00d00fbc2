// The cards in view as one HTML file that needs no server: the figures with Plotly inside, and what each card says.
import { card as paper, ink } from "./paint.js";
import { fileName, saveText } from "./take.js";

const escape = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/"/g, "&quot;");
// Inside a script element only "</" could end it, and "<!--" could begin what hides its end.
const json = (value) => JSON.stringify(value).replace(/</g, "\\u003c");

export async function page({ name, step, dark, plotly, cards }) {
  const library = await (await fetch(plotly)).text();
  const shown = cards.filter((card) => card.panel);
  const figures = {};
  const parts = shown.map((card, place) => {
    const { title, moment, reading, text, help } = card.panel;
    const words = text.map(([label, value, meaning]) => `<tr title="${escape(meaning)}"><th>${escape(label)}</th><td>${escape(value)}</td></tr>`).join("");
    if (card.hasFigure) figures[`figure-${place}`] = { ...card.figure(), height: Math.max(card.height, 320) };
    return `<section><h2>${escape(title)}</h2><p>${escape([moment, reading].filter(Boolean).join(": "))}</p>`
      + (card.hasFigure ? `<div id="figure-${place}"></div>` : `<table>${words}</table>`) + `<details><summary>How to read</summary>${escape(help)}</details></section>`;
  });
  const title = `${name}, step ${step.toLocaleString("en")}`;
  const lines = [
    "<!doctype html>", `<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escape(title)}</title>`,
    `<style>body{font:15px/1.45 system-ui,sans-serif;margin:24px auto;max-width:1100px;padding:0 16px;background:${paper(dark)};color:${ink(dark)}}`,
    "section{margin:0 0 32px}h2{font-size:17px;margin:0}p{margin:2px 0 8px;opacity:.8}th{text-align:left;font-weight:400;padding-right:16px;vertical-align:top}</style></head><body>",
    `<h1>${escape(title)}</h1>`, ...parts,
    `<script>${library.replace(/<\/script/gi, "<\\/script")}</script>`,
    `<script>const figures = ${json(figures)};`,
    "for (const [id, { data, layout, height }] of Object.entries(figures)) Plotly.newPlot(id, data, { ...layout, height, autosize: true }, { responsive: true, displaylogo: false });",
    "</script></body></html>",
  ];
  saveText(fileName({ name, step }, "cards", "html"), "text/html", lines.join("\n"));
}
