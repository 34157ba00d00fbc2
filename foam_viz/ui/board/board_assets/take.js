// Taking a panel away: picture, vector, or the numbers drawn.
import { LEGEND_LINE, nameRuns } from "./key.js";
import { card as paper, ink } from "./paint.js";

export function exportsOf(card) {
  const csv = ["CSV, the numbers drawn", () => save(fileName(card.about(), named(card), "csv"), card.hasFigure ? figureTable(card.parts) : textTable(card.text))];
  if (!card.hasFigure && !card.text?.length) return [["Nothing to export yet", () => {}]];
  const all = [`CSV, all rows of ${card.table}`, () => rows(card)];
  return card.hasFigure ? [["PNG picture", () => picture(card, "png")], ["SVG vector picture", () => picture(card, "svg")], csv, all] : [csv, all];
}

// The name of a panel in names of files; the cards of a comparison are numbered, and named by their metric.
const named = (card) => (card.id.startsWith("compare-") ? card.title.textContent : card.id);

// Every row that was recorded up to the step looked at, of every run: a figure holds fewer points than that.
async function rows(card) {
  const { source, look, name, step } = card.about();
  const asked = { source, table: card.table, at: look.at ?? null };
  const answer = await fetch(new URL("tables", document.baseURI), { method: "POST", body: JSON.stringify(asked) });
  const text = await answer.text();
  saveText(answer.ok ? fileName({ name, step }, card.table, "csv") : "why-there-is-no-table.txt", answer.ok ? "text/csv" : "text/plain", text);
}

const TITLE = 64;
const SUBTITLE_LINE = 16;
const LETTER = 6.4; // pixels of a letter of the subtitle, on average
const PRINTED = 4; // times the pixels of the screen: a card of 640 is 2,560 wide, 300 a inch at 8.5 inches

// Names of files say of which run, panel and step they are.
export function fileName({ name, step }, panel, kind) {
  const slug = (text) => text.toLowerCase().replace(/[^a-z0-9.]+/g, "-").replace(/^[-.]+|[-.]+$/g, "").slice(0, 60);
  return `${["foam_viz", slug(name), slug(panel), `step-${step}`].filter(Boolean).join("-")}.${kind}`;
}

// What stands above a figure elsewhere: on the page the table of runs says whose factor it is.
export function headOf(card) {
  const { followed } = card.about();
  const { moment, reading } = card.panel;
  const whose = followed && card.table !== "steps" && card.id !== "multiples" && !reading.includes(followed) ? `, ${followed}` : "";
  return { title: `${card.title.textContent}${whose}`, words: [moment, reading].filter(Boolean).join(": ") };
}

function wrapped(words, letters) {
  const lines = [""];
  for (const word of words.split(" ")) {
    if (lines.at(-1) && lines.at(-1).length + word.length >= letters) lines.push("");
    lines[lines.length - 1] = [lines.at(-1), word].filter(Boolean).join(" ");
  }
  return lines;
}

function picture(card, format) {
  const { data, layout } = card.figure();
  const box = card.box.getBoundingClientRect();
  const width = Math.round(Math.max(box.width, 640));
  const { title, words } = headOf(card);
  const lines = wrapped(words, width / LETTER).map(escape);
  const above = TITLE + SUBTITLE_LINE * (lines.length - 1);
  const height = Math.round(Math.max(box.height, 320) + above + LEGEND_LINE * nameRuns({ data, layout }, width));
  Object.assign(layout, { paper_bgcolor: paper(card.dark), plot_bgcolor: paper(card.dark), width: undefined, height: undefined });
  layout.margin = { ...layout.margin, t: layout.margin.t + above };
  // The key stands at the top of the figure: it makes room for the title. A picture cannot carry the page's own font.
  layout.font = { ...layout.font, family: "Helvetica, Arial, sans-serif" };
  if (layout.legend?.yanchor === "top") layout.legend.y = 1 - above / height;
  for (const trace of data) if (trace.colorbar) trace.colorbar.y = 0.99 - above / height;
  layout.title = { text: `<b>${escape(title)}</b>`, subtitle: { text: lines.join("<br>"), font: { size: 12 } },
    font: { size: 16, color: ink(card.dark) }, x: 0.02, xanchor: "left", y: 0.96, yanchor: "top", yref: "container" };
  window.Plotly.downloadImage({ data, layout }, { format, width, height, scale: format === "png" ? PRINTED : 1, filename: fileName(card.about(), named(card), format).replace(/\.[^.]*$/, "") });
}

const escape = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

const KINDS = { f4: Float32Array, f8: Float64Array, u1: Uint8Array, u2: Uint16Array, i4: Int32Array };

export function numbers(spec) {
  if (!spec?.bdata) return Array.isArray(spec) ? spec : [];
  const text = atob(spec.bdata);
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  return new KINDS[spec.dtype](bytes.buffer);
}

// Every column and row of a heatmap has a name of its own: those of the ticks are few, and shortened. Bins are named by
// the steps they hold, the one after their left edge up to their right one.
function names(count, told, places, first, step, bins) {
  if (told) return told;
  const all = [...Array(count).keys()];
  if (bins) {
    const edges = numbers(places);
    return all.map((at) => (edges[at] + 1 === edges[at + 1] ? edges[at + 1] : `${edges[at] + 1}–${edges[at + 1]}`));
  }
  return Array.isArray(places) ? places : all.map((at) => (first === undefined ? at + 1 : first + step * at));
}

function figureTable({ data }) {
  const rows = [["series", "name", "x", "y", "value"]];
  for (const trace of data) {
    const series = [trace.meta?.series ?? trace.type, trace.name ?? ""];
    if (trace.type === "heatmap") {
      const { values, words, cells, down, bins } = trace.meta ?? {};
      const [height, width] = trace.z.shape.split(",").map(Number);
      const left = names(width, null, trace.x, trace.x0, trace.dx, bins);
      const top = names(height, down, trace.y, trace.y0, trace.dy);
      numbers(values ?? trace.z).forEach((value, at) => {
        const [row, column] = [Math.floor(at / width), at % width];
        const place = cells ? [cells[row][column], ""] : [left[column], top[row]];
        if (place[0] !== "") rows.push([...series, ...place, words?.[value] ?? value]);
      });
    } else {
      const [x, y] = [numbers(trace.x), numbers(trace.y)];
      y.forEach((value, at) => value !== null && rows.push([...series, trace.x ? x[at] : trace.x0 + trace.dx * at, value, ""]));
    }
  }
  return rows;
}

const textTable = (rows) => [["label", "value", "meaning"], ...rows];

// A cell that a spreadsheet would run as a formula is quoted as text.
const cell = (value) => {
  if (typeof value === "number") return Number.isNaN(value) ? "" : String(Number(value.toPrecision(7))); // as single precision has
  const safe = /^[=+\-@\t\r]/.test(value) && Number.isNaN(Number(value)) ? `'${value}` : value;
  return /[",\n\r]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
};

const save = (name, rows) => saveText(name, "text/csv", `${rows.map((row) => row.map(cell).join(",")).join("\r\n")}\r\n`);

export function saveText(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
  const link = Object.assign(document.createElement("a"), { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}
