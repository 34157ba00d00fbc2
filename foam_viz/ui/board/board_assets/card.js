// One card: title, reading, quiet actions, and a plot, a few rows of text, or a word on what will appear.
import { plainLayout, withoutKey, writeKey } from "./key.js";
import { menu } from "./menu.js";
import { paint } from "./paint.js";
import { exportsOf } from "./take.js";

const REST_MS = 250; // a zoom or a pan is told once the hand rests

const make = (tag, className, text) => {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
};

// Text with what no line may break: "h = 0.81", and a number such as 6.0e-9, which a browser breaks after its hyphen.
const WHOLE = /(\S+(?: [=≤>×→] \S+)+|\S*\de-\d\S*)/;
const write = (element, text) => {
  if (element.textContent === text) return;
  element.replaceChildren(...text.split(WHOLE).map((part, at) => (at % 2 ? make("span", "fb-whole", part) : part)));
};

export class Card {
  // board: plots; follow(value), range(window) and choose(change), which tell what the reader did; about(), for file names.
  constructor(id, board) {
    const { plots, follow, range, choose, about, pick } = board;
    Object.assign(this, { id, plots, follow, range, choose, about, pick, telling: 0, told: "null", drawn: -1e9, full: -1e9, panel: null, untold: null, shape: "", frame: {}, ranges: {}, width: 0, height: 0, visible: false, revision: null, parts: null, dark: false });
    this.slot = make("div", "fb-slot");
    this.element = make("article", "fb-card");
    this.element.dataset.panel = id;
    this.title = make("h3", "fb-title");
    this.title.id = `fb-title-${id}`;
    this.element.setAttribute("aria-labelledby", this.title.id);
    this.moment = make("span", "fb-moment");
    this.reading = make("p", "fb-reading");
    const names = make("div", "fb-names");
    const line = make("div", "fb-line");
    this.choices = make("span", "fb-choices");
    line.append(this.title, this.choices, this.moment);
    names.append(line, this.reading);
    this.actions = make("div", "fb-actions");
    const header = make("header", "fb-header");
    header.append(names, this.actions);
    this.key = make("div", "fb-key");
    this.box = make("div", "fb-plot");
    this.words = make("div", "fb-words");
    this.element.append(header, this.key, this.box, this.words);
    this.slot.append(this.element);
    this.buildActions();
    this.sizes = new ResizeObserver(([entry]) => {
      Object.assign(this, { width: Math.floor(entry.contentRect.width), height: Math.floor(entry.contentRect.height) });
      if (!this.hasFigure) return;
      if (this.listening) writeKey(this.key, this.parts, this.dark, this.width);
      this.plots.ask(this);
    });
    this.sizes.observe(this.box);
    this.box.addEventListener("pointerenter", () => { this.full = -1e9; if (this.hasFigure) this.plots.ask(this); });
    this.box.addEventListener("keydown", (event) => this.arrow(event));
    this.box.addEventListener("pointerdown", () => this.plots.hold(this), true);
  }

  buildActions() {
    this.how = menu("How to read", "?", () => [make("p", "fb-help", this.help)]);
    this.take = menu("Export", "↓", (close) => exportsOf(this).map(([label, run]) => {
      const button = make("button", "fb-choice", label);
      button.type = "button";
      button.onclick = () => { close(); run(); };
      return button;
    }));
    this.grow = make("button", "fb-action", "⤢");
    this.grow.type = "button";
    this.grow.onclick = () => (this.enlarged ? this.dialog.close() : this.enlarge());
    this.actions.append(...this.how, this.grow, ...this.take);
  }

  get inView() {
    return this.visible || this.enlarged === true;
  }

  // A card out of sight: its place on the page is right before anything is drawn in it, and what was drawn stays.
  place({ title, help, columns, height, choices, table }) {
    this.table = table;
    if (this.revision === null) this.title.textContent = title;
    this.help = help;
    this.offer(choices);
    this.names(title);
    this.slot.style.setProperty("--columns", columns);
    this.slot.style.setProperty("--height", `${height}px`);
    this.slot.dataset.wide = columns >= 7 ? "yes" : "no";
  }

  // Every button says of which panel it is.
  names(title) {
    const told = [[this.how[0], `How to read ${title}`], [this.grow, `${this.enlarged ? "Close" : "Enlarge"} ${title}`], [this.take[0], `Export ${title}`]];
    for (const [button, words] of told) {
      if (button.title === words) continue;
      button.title = words;
      button.setAttribute("aria-label", words);
    }
    this.named = title;
  }

  // What the card offers to choose: built once, and set to what is looked at.
  offer(choices) {
    if (choices.length !== this.choices.children.length) this.choices.replaceChildren(...choices.map((choice) => this.offered(choice)));
    this.chosen();
  }

  offered({ name, kind, label, help, default: otherwise, values }) {
    const control = kind === "boolean" ? Object.assign(make("input"), { type: "checkbox" }) : make("select", "fb-choose");
    if (kind !== "boolean") control.append(...values.map(([value, words]) => new Option(words, value)));
    control.setAttribute("aria-label", `${label}, ${this.title.textContent}`);
    control.dataset.name = name;
    control.otherwise = otherwise;
    control.onchange = () => this.choose({ [name]: kind === "boolean" ? control.checked : control.value });
    if (kind !== "boolean") { control.title = help; return control; }
    const box = make("label", "fb-switch", label);
    box.title = help;
    box.prepend(control);
    return box;
  }

  chosen() {
    const look = this.about().look;
    for (const control of this.choices.querySelectorAll("[data-name]")) {
      const value = look[control.dataset.name] ?? control.otherwise;
      if (control === document.activeElement && control.tagName === "SELECT") continue;
      if (control.type === "checkbox") control.checked = value;
      else control.value = value;
    }
  }

  update(panel, dark) {
    this.place(panel);
    this.dark = dark;
    this.revision = panel.revision;
    this.title.textContent = panel.title;
    this.text = panel.text;
    this.parts = panel.figure;
    this.hasFigure = Boolean(this.parts);
    this.box.hidden = !this.hasFigure;
    this.words.hidden = this.hasFigure;
    // What a card says of its figure changes together with the figure: a busy page draws late.
    this.panel = this.untold = panel;
    if (this.hasFigure) {
      const follow = this.follows && this.parts.layout.meta?.follow;
      this.element.classList.toggle("fb-clickable", Boolean(follow || this.parts.layout.meta?.pick));
      this.box.tabIndex = follow ? 0 : -1;
      this.box.setAttribute("role", follow ? "application" : "figure");
      if (!this.listening) writeKey(this.key, this.parts, dark, this.width); // its height is the plot's size
      this.plots.ask(this);
    } else {
      this.sayDrawn();
      this.say(panel);
    }
  }

  // The figure of the last update is drawn: say what it shows.
  sayDrawn() {
    const panel = this.untold;
    if (!panel) return;
    this.untold = null;
    this.moment.textContent = this.moment.title = panel.moment;
    write(this.reading, panel.reading);
    this.reading.title = panel.reading;
    writeKey(this.key, panel.figure, this.dark, this.width);
    const arrows = this.hasFigure && this.follows && panel.figure.layout.meta?.follow ? ". Arrow keys follow another factor." : "";
    this.box.setAttribute("aria-label", `${panel.title}. ${panel.moment}. ${panel.reading}${arrows}`);
  }

  say(panel) {
    if (!panel.text.length) return this.words.replaceChildren(make("p", "fb-empty", panel.empty));
    // Rows are kept where they are, so that a selection and the reader's eye stay put.
    let list = this.words.querySelector("dl");
    if (!list || list.children.length !== panel.text.length) {
      list = make("dl", "fb-rows");
      for (const _ of panel.text) {
        const row = make("div", "fb-row");
        row.append(make("dt"), make("dd"));
        list.append(row);
      }
      this.words.replaceChildren(list);
    }
    panel.text.forEach(([label, value, help], index) => {
      const row = list.children[index];
      if (row.title !== help) row.title = help;
      [label, value].forEach((text, at) => write(row.children[at], text));
    });
    return undefined;
  }

  fail(message) {
    this.sayDrawn();
    this.box.hidden = true;
    this.words.hidden = false;
    this.words.replaceChildren(make("p", "fb-empty", message));
  }

  // The whole figure, as it is exported.
  figure() {
    return { data: paint(this.parts.data, this.dark), layout: paint(this.parts.layout, this.dark) };
  }

  // The figure as it is drawn here: without the parts that the card shows by itself.
  drawing() {
    const { data, layout } = this.figure();
    return { data: withoutKey(data), layout: { ...layout, ...plainLayout(layout, !this.key.hidden) } };
  }

  // A switch of the theme is followed at once, whatever the page is busy with.
  repaint(dark) {
    this.dark = dark;
    this.drawn = -1e9;
    writeKey(this.key, this.parts, dark, this.width);
    if (this.hasFigure) this.plots.ask(this);
  }

  clicked(point) {
    if (this.parts.layout.meta?.pick && typeof point?.customdata === "string") return this.pick(point.customdata);
    const follow = this.follows && this.parts.layout.meta?.follow;
    if (!follow || !point) return;
    const factor = follow.rows ? Math.round(point.y) : point.customdata;
    if (Number.isInteger(factor) && factor >= 0) this.follow({ factor, lane: follow.lane });
  }

  // Figures of long curves hold fewer points than were logged (`layout.meta.detail`): the part of the horizontal axis that
  // the reader looks at is told, null for all of it, and its detail comes with the answer.
  relaid() {
    clearTimeout(this.telling);
    if (!this.parts?.layout.meta?.detail) return;
    this.telling = setTimeout(() => {
      const axis = this.box._fullLayout?.xaxis;
      const asked = this.ranges.xaxis?.range;
      if (!axis || !asked) return;
      const whole = axis.range.every((value, at) => Math.abs(value - asked[at]) <= 1e-6 * Math.abs(asked[1] - asked[0]));
      const window = whole ? null : axis.range.map((value) => (axis.type === "log" ? 10 ** value : value));
      if (JSON.stringify(window) === this.told) return;
      this.told = JSON.stringify(window);
      this.range(window ?? [null, null]);
    }, REST_MS);
  }

  arrow(event) {
    const follow = this.follows && this.parts?.layout.meta?.follow;
    const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [0, 0];
    if (!follow || !(dx || dy)) return;
    event.preventDefault();
    if (follow.rows) {
      const next = (follow.factor ?? -1) + dx + dy;
      if (next >= 0 && next < follow.rows) this.follow({ factor: next, lane: follow.lane });
      return;
    }
    const cells = this.parts.data[0].customdata;
    let row = cells.findIndex((line) => line.includes(follow.factor));
    let column = row < 0 ? 0 : cells[row].indexOf(follow.factor);
    row = Math.max(row, 0);
    do { row += dy; column += dx; } while (cells[row]?.[column] < 0);
    if (cells[row]?.[column] >= 0) this.follow({ factor: cells[row][column], lane: follow.lane });
  }

  // The card itself moves into a dialog and leaves its place empty: nothing else on the page moves.
  enlarge() {
    this.dialog = make("dialog", "fb-dialog");
    this.slot.closest(".foam-board").append(this.dialog);
    this.dialog.append(this.element);
    this.enlarged = true;
    this.names(this.named);
    this.dialog.onclick = (event) => event.target === this.dialog && this.dialog.close();
    this.dialog.onclose = () => {
      this.enlarged = false;
      this.names(this.named);
      this.slot.append(this.element);
      this.dialog.remove();
      this.grow.focus();
      if (this.hasFigure) this.plots.ask(this);
    };
    this.dialog.showModal();
    if (this.hasFigure) this.plots.ask(this);
  }

  destroy() {
    clearTimeout(this.telling);
    this.sizes.disconnect();
    this.plots.forget(this);
    this.slot.remove();
  }
}
