// The quick way to new data. Plotly.react measures and lays out a whole figure again, tens of milliseconds on a busy machine,
// although most updates only move marks. When nothing but the arrays changed, the marks Plotly drew are moved in place with
// Plotly's own axes. Where axes end elsewhere or shapes moved, Plotly.relayout draws these first, which costs a sixth of it.
// Everything else, and any figure under the pointer, goes through Plotly.react (see plots.js).
import { numbers } from "./take.js";

const ARRAYS = new Set(["x", "y", "z", "text", "hovertext", "customdata"]);
const UNSEEN = new Set(["meta", "hovertemplate"]); // a figure under the pointer is drawn anew before it answers
const MOVING = new Set(["end label", "level"]);
const isAxis = (name) => /^[xy]axis\d*$/.test(name);

// What must be equal for the quick way: all of a figure but its numbers, the labels that follow them, and the frame.
export const shapeOf = ({ data, layout }) => JSON.stringify([data.map((trace) => traceOf(trace, layout)),
  Object.entries(layout).filter(([key]) => key !== "annotations" && key !== "shapes").map(([key, value]) => [key, isAxis(key) ? { ...value, range: null } : value]),
  (layout.shapes ?? []).length,
  (layout.annotations ?? []).filter((note) => !MOVING.has(note.name)), (layout.annotations ?? []).filter((note) => MOVING.has(note.name)).map((note) => note.text)]);

function traceOf(trace, layout) {
  const unnamed = !layout.showlegend || trace.showlegend === false;
  return Object.entries(trace).filter(([key]) => !ARRAYS.has(key) && !UNSEEN.has(key) && !(unnamed && key === "name"));
}

// Where the axes end and what is drawn over them, as Plotly.relayout takes them: a copy, as Plotly writes into what it is given.
export function frameOf({ layout }) {
  const ranges = Object.entries(layout).filter(([key, axis]) => isAxis(key) && axis.range).map(([key, axis]) => [`${key}.range`, axis.range]);
  return structuredClone(Object.fromEntries(layout.shapes?.length ? [...ranges, ["shapes", layout.shapes]] : ranges));
}

// The parts of a frame that differ from those of another.
export const changed = (frame, before) => structuredClone(Object.fromEntries(Object.entries(frame).filter(([key, value]) => JSON.stringify(value) !== JSON.stringify(before[key]))));

const sameArrays = (one, other) => [...ARRAYS].every((key) => one[key] === other[key] || (one[key]?.bdata ?? JSON.stringify(one[key])) === (other[key]?.bdata ?? JSON.stringify(other[key])));

// Moves the marks of `box` to the numbers of `next`; those whose numbers are the old ones only where the frame is another
// (`framed`). False, with nothing touched, where it cannot.
export function quick(box, next, framed) {
  const full = box._fullLayout;
  const work = [];
  const stacks = new Map();
  for (const [index, trace] of next.data.entries()) {
    const drawn = box._fullData?.[index];
    if (!drawn || drawn.type !== trace.type) return false;
    if (!framed && trace.type !== "bar" && sameArrays(trace, box.data[index])) continue;
    const move = { heatmap: image, scatter: marks, bar: bars }[trace.type]?.(box, full, drawn, trace, stacks);
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
  if (trace.meta?.series === "legend") return () => {};
  const group = box.querySelector(`.scatterlayer .trace${drawn.uid}`);
  const [xAxis, yAxis] = [axisOf(full, trace.xaxis ?? "x"), axisOf(full, trace.yaxis ?? "y")];
  if (!group || !xAxis || !yAxis) return null;
  const values = numbers(trace.y);
  const places = trace.x ? numbers(trace.x) : Float64Array.from(values, (_, at) => trace.x0 + trace.dx * at);
  const xs = Array.from(places, (x) => xAxis.c2p(x)), ys = Array.from(values, (y) => yAxis.c2p(y));
  const dots = trace.mode?.includes("markers") ? points(group, xs, ys) : () => {};
  if (!dots || trace.mode === "markers") return dots;
  const parts = connected(xs, ys);
  const lines = [...group.querySelectorAll(".js-line")];
  const fill = group.querySelector(".js-fill") ?? full._plots[`${trace.xaxis ?? "x"}${trace.yaxis ?? "y"}`]?.plot.node().querySelector(`.trace${drawn.uid} .js-fill`);
  if (!lines.length || !parts.length || (trace.fill && (!fill || parts.length > 1))) return null;
  const paths = parts.map(([x, y]) => lineOf(x, y, trace.line?.shape ?? "linear"));
  return () => {
    dots();
    while (lines.length > paths.length) lines.pop().remove();
    while (lines.length < paths.length) {
      lines.push(lines[0].cloneNode(false));
      lines[0].parentNode.append(lines[lines.length - 1]);
    }
    paths.forEach((path, at) => lines[at].setAttribute("d", path));
    if (trace.fill) fill.setAttribute("d", `${paths[0]}L${xs[xs.length - 1].toFixed(1)},${yAxis._length}L${xs[0].toFixed(1)},${yAxis._length}Z`);
  };
}

// The parts of a curve between its gaps, each as [xs, ys].
function connected(xs, ys) {
  const parts = [];
  let open = false;
  xs.forEach((x, at) => {
    const there = Number.isFinite(x) && Number.isFinite(ys[at]);
    if (there && !open) parts.push([[], []]);
    if (there) { parts[parts.length - 1][0].push(x); parts[parts.length - 1][1].push(ys[at]); }
    open = there;
  });
  return parts;
}

// Bars that lie, stacked upon those of the traces before.
function bars(box, full, drawn, trace, stacks) {
  const drawnBars = [...box.querySelectorAll(".barlayer .trace.bars")].find((group) => group.__data__?.[0]?.trace?.uid === drawn.uid)?.querySelectorAll(".point path");
  const values = numbers(trace.x);
  if (trace.orientation !== "h" || full.barmode !== "stack" || drawnBars?.length !== values.length) return null;
  const below = stacks.get("x") ?? new Float64Array(values.length);
  const paths = [];
  for (const [at, path] of [...drawnBars].entries()) {
    const seen = /^M[-\d.]+,([-\d.]+)V([-\d.]+)H/.exec(path.getAttribute("d"));
    if (!seen) return null;
    const [from, to] = [below[at], below[at] + values[at]].map((x) => full.xaxis.c2p(x).toFixed(2));
    paths.push(`M${from},${seen[1]}V${seen[2]}H${to}V${seen[1]}Z`);
  }
  stacks.set("x", below.map((x, at) => x + values[at]));
  return () => paths.forEach((path, at) => drawnBars[at].setAttribute("d", path));
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
  const seen = [...xs.keys()].filter((at) => Number.isFinite(xs[at]) && Number.isFinite(ys[at])); // Plotly draws no other
  if (!first || !seen.length) return null;
  return () => {
    while (home.children.length > seen.length) home.lastChild.remove();
    while (home.children.length < seen.length) home.append(first.cloneNode(false));
    seen.forEach((at, n) => home.children[n].setAttribute("transform", `translate(${xs[at].toFixed(1)},${ys[at].toFixed(1)})`));
  };
}

// A heatmap without gaps, rows downwards, as an image of one pixel a cell.
function image(box, full, _drawn, trace) {
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
