// The quick way to new data. Plotly.react measures and lays out a whole figure again, tens of milliseconds on a busy machine,
// although most updates only move marks. When nothing but the arrays changed, the marks Plotly drew are moved in place with
// Plotly's own axes; everything else, and any figure under the pointer, goes through Plotly.react (see plots.js).
import { numbers } from "./take.js";

const ARRAYS = new Set(["x", "y", "z", "text", "hovertext", "customdata"]);
const MOVING = new Set(["end label", "level"]);

// What must be equal for the quick way: all of a figure but its numbers and the labels that follow them.
export const shapeOf = ({ data, layout }) => JSON.stringify([data.map((trace) => Object.entries(trace).filter(([key]) => !ARRAYS.has(key))),
  Object.entries(layout).filter(([key]) => key !== "annotations"), (layout.annotations ?? []).filter((note) => !MOVING.has(note.name)),
  (layout.annotations ?? []).filter((note) => MOVING.has(note.name)).map((note) => note.text)]);

// Moves the marks of `box` to the numbers of `next`. False, with nothing touched, where it cannot.
export function quick(box, next) {
  const full = box._fullLayout;
  const work = [];
  for (const [index, trace] of next.data.entries()) {
    const drawn = box._fullData?.[index];
    if (!drawn || drawn.type !== trace.type) return false;
    const move = trace.type === "heatmap" ? image(box, full, trace) : trace.type === "scatter" ? marks(box, full, drawn, trace) : null;
    if (!move) return false;
    work.push(move);
  }
  const labels = moveLabels(box, full, next.layout.annotations ?? []);
  if (!labels) return false;
  for (const move of work) move();
  labels();
  box.data = next.data;
  return true;
}

const axisOf = (full, name) => full[`${name[0]}axis${name.slice(1)}`];

function marks(box, full, drawn, trace) {
  const group = box.querySelector(`.scatterlayer .trace${drawn.uid}`);
  const [xAxis, yAxis] = [axisOf(full, trace.xaxis ?? "x"), axisOf(full, trace.yaxis ?? "y")];
  if (!group || !xAxis || !yAxis) return null;
  const values = numbers(trace.y);
  const places = trace.x ? numbers(trace.x) : Float64Array.from(values, (_, at) => trace.x0 + trace.dx * at);
  const xs = Array.from(places, (x) => xAxis.c2p(x)), ys = Array.from(values, (y) => yAxis.c2p(y));
  if (!xs.length || ![...xs, ...ys].every(Number.isFinite)) return null;
  if (trace.mode === "markers") return points(group, xs, ys);
  const [line, ...more] = group.querySelectorAll(".js-line");
  const fill = group.querySelector(".js-fill") ?? full._plots[`${trace.xaxis ?? "x"}${trace.yaxis ?? "y"}`]?.plot.node().querySelector(`.trace${drawn.uid} .js-fill`);
  if (!line || more.length || (trace.fill && !fill)) return null;
  const path = lineOf(xs, ys, trace.line?.shape ?? "linear");
  return () => {
    line.setAttribute("d", path);
    if (trace.fill) fill.setAttribute("d", `${path}L${xs[xs.length - 1].toFixed(1)},${yAxis._length}L${xs[0].toFixed(1)},${yAxis._length}Z`);
  };
}

function lineOf(xs, ys, shape) {
  let path = `M${xs[0].toFixed(1)},${ys[0].toFixed(1)}`;
  for (let at = 1; at < xs.length; at++) {
    const [x, y] = [xs[at].toFixed(1), ys[at].toFixed(1)];
    path += shape === "hv" ? `H${x}V${y}` : shape === "hvh" ? `H${((xs[at - 1] + xs[at]) / 2).toFixed(1)}V${y}H${x}` : `L${x},${y}`;
  }
  return path;
}

function points(group, xs, ys) {
  const home = group.querySelector(".points");
  const first = home?.querySelector(".point");
  if (!first) return null;
  return () => {
    while (home.children.length > xs.length) home.lastChild.remove();
    while (home.children.length < xs.length) home.append(first.cloneNode(false));
    xs.forEach((x, at) => home.children[at].setAttribute("transform", `translate(${x.toFixed(1)},${ys[at].toFixed(1)})`));
  };
}

// A heatmap without gaps, rows downwards, as an image of one pixel a cell.
function image(box, full, trace) {
  const element = box.querySelector(".heatmaplayer image");
  const { xaxis, yaxis } = full;
  if (!element || (trace.xaxis ?? "x") !== "x" || trace.xgap || trace.ygap || yaxis.range[0] < yaxis.range[1]) return null;
  const [rows, columns] = trace.z.shape.split(",").map(Number);
  const [left, step] = "dx" in trace ? [trace.x0, trace.dx] : [0, 1];
  const told = numbers(trace.x);
  const uneven = told.length === columns + 1; // edges of columns, of which the last may be narrower
  const edges = (uneven ? Array.from(told) : [left - step / 2, left + step * (columns - 0.5)]).map((x) => xaxis.c2p(x));
  const [start, end] = [edges[0], edges[edges.length - 1]];
  if (!(end > start)) return null;
  if (trace.y?.bdata) return null; // rows at places of their own
  const [first, apart] = "dy" in trace ? [trace.y0, trace.dy] : [0, 1];
  const ends = [first - apart / 2, first + apart * (rows - 0.5)].map((y) => yaxis.c2p(y));
  const canvas = document.createElement("canvas");
  canvas.width = columns;
  canvas.height = rows;
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(columns, rows);
  const table = lookup(trace.colorscale);
  const scale = 255 / (trace.zmax - trace.zmin);
  numbers(trace.z).forEach((value, at) => {
    if (!Number.isNaN(value)) pixels.data.set(table[Math.max(0, Math.min(255, Math.round(scale * (value - trace.zmin))))], 4 * at);
  });
  context.putImageData(pixels, 0, 0);
  const url = (uneven ? widened(canvas, edges) : canvas).toDataURL();
  const words = trace.texttemplate ? trace.text.flat().filter(Boolean) : [];
  const texts = box.querySelectorAll(".heatmaplayer text");
  if (words.length !== texts.length) return null;
  return () => {
    words.forEach((word, at) => { if (texts[at].textContent !== word) texts[at].textContent = word; });
    const size = { x: start, y: ends[0], width: end - start, height: ends[1] - ends[0] };
    for (const [name, value] of Object.entries(size)) element.setAttribute(name, value);
    element.setAttribute("preserveAspectRatio", "none");
    element.style.imageRendering = "pixelated";
    element.removeAttribute("xlink:href");
    element.setAttribute("href", url);
  };
}

// Columns as wide as they are on the screen.
function widened(canvas, edges) {
  const wide = document.createElement("canvas");
  wide.width = Math.max(canvas.width, Math.ceil(edges[edges.length - 1] - edges[0]));
  wide.height = canvas.height;
  const context = wide.getContext("2d");
  context.imageSmoothingEnabled = false;
  const at = edges.map((x) => Math.round(((x - edges[0]) / (edges[edges.length - 1] - edges[0])) * wide.width));
  for (let i = 0; i < canvas.width; i++) context.drawImage(canvas, i, 0, 1, canvas.height, at[i], 0, at[i + 1] - at[i], canvas.height);
  return wide;
}

const tables = new Map();

// RGBA at 256 places of a colour scale.
function lookup(colorscale) {
  const key = JSON.stringify(colorscale);
  if (!tables.has(key)) {
    const stops = colorscale.map(([at, text]) => [at, channels(text)]);
    tables.set(key, Array.from({ length: 256 }, (_, value) => {
      const share = value / 255;
      // With two stops at one place the later one counts, as bands of flat colour want it.
      const after = Math.max(1, stops.findIndex(([at]) => at > share) < 0 ? stops.length - 1 : stops.findIndex(([at]) => at > share));
      const [[low, from], [high, to]] = [stops[after - 1], stops[after]];
      const mix = high > low ? (share - low) / (high - low) : 1;
      return from.map((channel, at) => Math.round(channel + mix * (to[at] - channel)));
    }));
  }
  return tables.get(key);
}

function channels(text) {
  if (text.startsWith("#")) return [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16)).concat(255);
  const parts = text.match(/[\d.]+/g).map(Number);
  return [...parts.slice(0, 3), Math.round(255 * (parts[3] ?? 1))];
}

// Labels at the ends of lines: moved by as much as their anchor moved since Plotly placed them.
function moveLabels(box, full, notes) {
  const moves = [];
  for (const [index, note] of notes.entries()) {
    if (!MOVING.has(note.name)) continue;
    const element = box.querySelector(`.annotation[data-index="${index}"]`);
    const placed = full.annotations?.[index];
    if (!element || !placed) return null;
    const at = ({ x, y, xshift, yshift }) => [(note.xref === "paper" ? 0 : full.xaxis.l2p(x)) + (xshift ?? 0), full.yaxis.l2p(y) - (yshift ?? 0)];
    const [from, to] = [at(placed), at(note)];
    moves.push(() => { element.style.transform = `translate(${(to[0] - from[0]).toFixed(1)}px,${(to[1] - from[1]).toFixed(1)}px)`; });
  }
  return () => moves.forEach((move) => move());
}
