// The head of the board: a line of status, beside it the time cursor (see time.js), and a compact table of runs. Cells are rewritten in place, never rebuilt.
import { LANES } from "./theme.js";
import { colour } from "./paint.js";

const SVG = "http://www.w3.org/2000/svg";
const DASHES = { solid: "", dash: "7 3", dot: "1.5 3", dashdot: "6 2.5 1.5 2.5", longdash: "10 3", longdashdot: "10 2.5 1.5 2.5" };

const make = (tag, className, text) => {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
};
const write = (element, text) => { if (element.textContent !== text) element.textContent = text; };

export class Head {
  constructor(follow) {
    this.follow = follow;
    this.element = make("div", "fb-head");
    this.status = make("dl", "fb-status");
    this.top = make("div", "fb-top");
    this.table = make("table", "fb-runs");
    this.factor = make("select", "fb-pace fb-factor");
    this.factor.setAttribute("aria-label", "Factor followed");
    this.factor.title = "The factor that spectrum, damping and overlap show";
    this.factor.onchange = () => this.follow({ factor: Number(this.factor.value), lane: this.focus });
    this.factor.hidden = true;
    this.top.append(this.status, this.factor);
    this.runs = make("div", "fb-runs-box");
    this.runs.tabIndex = 0; // it scrolls where there are many runs: with keys, too
    this.runs.setAttribute("role", "region");
    this.runs.setAttribute("aria-label", "Table of runs");
    this.runs.append(this.table);
    this.element.append(this.top, this.runs);
    this.shape = "";
    // The head sticks below the strip of the page's controls, whose height depends on how many lines they need.
    this.below = new ResizeObserver(([entry]) => this.element.style.setProperty("--fb-top", `calc(3.75rem + ${Math.round(entry.target.offsetHeight)}px)`));
    this.under();
  }

  under() {
    const strip = document.querySelector(".st-key-strip");
    if (strip === this.strip) return;
    this.below.disconnect();
    this.strip = strip;
    this.element.dataset.sticks = strip ? "yes" : "no";
    if (strip) this.below.observe(strip);
    else this.element.style.removeProperty("--fb-top");
  }

  update({ status, lanes, focus, factors, factor }) {
    this.focus = focus;
    this.under();
    this.writeFactors(factors, factor);
    this.element.hidden = !status.length && !lanes.length;
    this.writeStatus(status);
    this.table.hidden = this.runs.hidden = !lanes.length;
    const shape = JSON.stringify([lanes.map((lane) => [lane.position, lane.follows, lane.cells.map((cell) => cell[0])])]);
    if (shape !== this.shape) this.build(lanes);
    this.shape = shape;
    lanes.forEach((lane, index) => {
      const row = this.table.tBodies[0].rows[index];
      row.classList.toggle("fb-focus", lanes.length > 1 && lane.position === focus);
      const name = row.querySelector(".fb-name");
      write(name, lane.label);
      name.title = lane.follows ? `${lane.label}: follow the factors of this run` : lane.label;
      lane.cells.forEach(([, text, help], at) => { const cell = row.cells[at + 1]; write(cell, text); cell.title = help; });
      const state = row.cells[row.cells.length - 1];
      state.dataset.state = lane.state;
      write(state, lane.state);
    });
  }

  writeFactors(names, chosen) {
    this.factor.hidden = !names.length;
    const shape = JSON.stringify(names);
    if (shape !== this.names) this.factor.replaceChildren(...names.map((name, at) => new Option(name, at)));
    this.names = shape;
    if (this.factor !== document.activeElement) this.factor.value = chosen ?? "";
  }

  writeStatus(status) {
    while (this.status.children.length > status.length) this.status.lastChild.remove();
    status.forEach(([label, text, help], index) => {
      let item = this.status.children[index];
      if (!item) {
        item = make("div", "fb-item");
        item.append(make("dt"), make("dd"));
        this.status.append(item);
      }
      item.title = `${text}. ${help}`; // a narrow head may cut the text
      write(item.children[0], label);
      write(item.children[1], text);
    });
  }

  build(lanes) {
    const top = make("tr");
    top.append(make("th", "fb-run", "Run"), ...(lanes[0]?.cells ?? []).map(([label, , help]) => Object.assign(make("th", "", label), { title: help })),
      make("th", "fb-state", "State"));
    const rows = lanes.map((lane) => {
      const row = make("tr");
      const name = make("th", "fb-run");
      name.scope = "row";
      const label = make(lane.follows ? "button" : "span", "fb-name");
      if (lane.follows) {
        label.type = "button";
        label.onclick = () => this.follow({ factor: null, lane: lane.position });
      }
      name.append(swatch(LANES[lane.position % LANES.length]), label);
      row.append(name, ...lane.cells.map(() => make("td")), make("td", "fb-state"));
      return row;
    });
    const [header, body] = [make("thead"), make("tbody")];
    header.append(top);
    body.append(...rows);
    this.table.replaceChildren(header, body);
  }
}

// Both colours of a lane; the style sheet takes that of the theme, so that a switch of the theme needs no update.
function swatch(style) {
  const svg = document.createElementNS(SVG, "svg");
  const line = document.createElementNS(SVG, "line");
  for (const [name, value] of Object.entries({ width: 26, height: 10, viewBox: "0 0 26 10", class: "fb-swatch", "aria-hidden": "true" })) svg.setAttribute(name, value);
  for (const [name, value] of Object.entries({ x1: 1, x2: 25, y1: 5, y2: 5, "stroke-width": 2.5,
    "stroke-dasharray": DASHES[style.dash], "stroke-linecap": style.dash === "dot" ? "round" : "butt" })) line.setAttribute(name, value);
  for (const dark of [false, true]) line.style.setProperty(dark ? "--fb-dark" : "--fb-light", colour(style.colour, dark));
  svg.append(line);
  return svg;
}
