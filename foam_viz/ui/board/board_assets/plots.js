// Plotly, loaded once, and the queue that keeps the page smooth: in each frame a few figures whose marks only move, or one
// that Plotly draws anew.
import { link, unlink } from "./cursor.js";
import { namesAbove, withoutNames } from "./key.js";
import { changed, frameOf, quick, shapeOf } from "./quick.js";

const FRAME_MS = 1000 / 60;
const QUICK_A_FRAME = 3;
const FULL_MS = 10000; // Plotly sees every figure this often, so that its own state never lags far behind
const PATIENCE_MS = 1400;
const RELEASES = ["pointerup", "pointercancel", "pointermove", "blur"];
const LARGER = 1.3;
const THICKER = 1.7;
const LINE = 1.25; // height of a line of letters
const REST = 4; // frames without a full drawing for each frame that one has cost
// The buttons are named one by one: Plotly's own choice includes one that would send the figure to a service.
const CONFIG = { displaylogo: false, doubleClick: "reset", showTips: false, modeBarButtons: [["zoom2d", "pan2d", "resetScale2d"]] };

const isAxis = (name) => /^[xy]axis\d*$/.test(name);
const same = (one, other) => one.every((value, at) => Math.abs(value - other[at]) <= 1e-9 * Math.abs(value));

// `uirevision` alone keeps the reader's zoom only while the range we ask for stays the same, and ours grow. So while a range
// on the screen is not the one asked for, the reader chose it, and the old one is asked for again. A reset brings back a
// range asked for some time ago: then the zoom is over, which Plotly is told by another `uirevision`.
// Returns what is asked for, by axis: the card must take it over only once it is drawn. Plotly compares with the range it
// was last given, so a range that was prepared and never drawn would end the next zoom.
function keepZoom(card, layout) {
  const shown = card.box._fullLayout;
  const ranges = {};
  for (const name of Object.keys(layout).filter(isAxis)) {
    const axis = layout[name];
    const revision = `${layout.uirevision} ${axis.uirevision}`;
    const before = card.ranges[name];
    const asked = before?.revision === revision ? { ...before, past: [...before.past] } : { revision, past: [], resets: (before?.resets ?? 0) + 1 };
    const seen = shown?.[name]?.range;
    if (asked.range && seen && axis.range && !same(seen, asked.range)) {
      if (asked.past.some((range) => same(seen, range))) asked.resets += 1;
      else axis.range = [...asked.range];
    }
    axis.uirevision = `${revision} ${asked.resets}`;
    if (axis.range && !(asked.range && same(axis.range, asked.range))) {
      asked.past.push([...axis.range]); // copies: a zoom writes into the array that Plotly was given
      asked.range = [...axis.range];
    }
    ranges[name] = asked;
  }
  return ranges;
}

// A figure of several plots knows other places for them on a card that is higher than wide.
function stand({ layout }) {
  const { axes = {}, annotations = [] } = layout.meta?.portrait ?? {};
  for (const [name, change] of Object.entries(axes)) Object.assign(layout[name], change);
  annotations.forEach((change, at) => Object.assign(layout.annotations[at], change));
}

// On a projector: larger type with the room that it takes, thicker lines.
function project({ data, layout }) {
  const grow = (font) => { if (font?.size) font.size = Math.round(font.size * LARGER); };
  layout.font = { ...layout.font, size: Math.round((layout.font?.size ?? 12) * LARGER) };
  layout.margin = Object.fromEntries(Object.entries(layout.margin).map(([side, width]) => [side, width * LARGER]));
  for (const [name, axis] of Object.entries(layout)) {
    if (!isAxis(name)) continue;
    grow(axis.tickfont);
    grow(axis.title?.font);
    if (name.startsWith("y") && axis.ticktext) thin(axis, layout);
  }
  for (const note of layout.annotations ?? []) {
    grow(note.font);
    for (const shift of ["xshift", "yshift"]) if (note[shift]) note[shift] *= LARGER;
  }
  for (const trace of data) if (trace.line?.width > 1) trace.line.width *= THICKER;
}

// Of names one below the other those that have room for their letters.
function thin(axis, { height, margin }) {
  const [low, high] = axis.domain ?? [0, 1];
  const pitch = (height - margin.t - margin.b) * (high - low) / axis.tickvals.length;
  const every = Math.max(1, Math.ceil((axis.tickfont?.size ?? 12) * LINE / pitch));
  for (const list of ["tickvals", "ticktext"]) axis[list] = axis[list].filter((_, at) => at % every === 0);
}

export class Plots {
  constructor(url) {
    this.url = url;
    this.waiting = new Set();
    this.ticking = false;
    this.drew = false;
    this.debt = 0;
    this.last = 0;
    this.coarse = matchMedia("(pointer: coarse)").matches;
    this.held = null;
    // Plotly covers the page while it drags, so only the window sees the release; one that nobody saw, outside the window,
    // shows at the next move without a button.
    this.release = (event) => { if (event.type !== "pointermove" || !event.buttons) this.held = null; };
    for (const kind of RELEASES) window.addEventListener(kind, this.release, true);
  }

  // Drawing anew in the middle of a drag would end it: a zoom in progress comes first.
  hold(card) {
    this.held = card;
  }

  destroy() {
    for (const kind of RELEASES) window.removeEventListener(kind, this.release, true);
  }

  load() {
    window.__foamPlotly ??= new Promise((done, fail) => {
      const script = Object.assign(document.createElement("script"), { src: this.url, async: true });
      script.onload = () => done(window.Plotly);
      script.onerror = () => { window.__foamPlotly = undefined; fail(new Error(`cannot load ${this.url}`)); };
      document.head.append(script);
    });
    return window.__foamPlotly;
  }

  // Draws the newest state of a card as soon as there is room for it.
  ask(card) {
    card.next = card.nextShape = null;
    this.waiting.add(card);
    if (this.ticking) return;
    this.ticking = true;
    this.load().then((plotly) => requestAnimationFrame((now) => this.frame(plotly, now)), (error) => {
      this.ticking = false;
      for (const each of this.waiting) each.fail("The plotting library could not be loaded. Reload the page; "
        + "if that does not help, restart the app so that it copies its static files again.");
      console.error("foam_viz board:", error);
    });
  }

  // Smoothness goes first: a full drawing that cost frames is followed by some without one, so that a slow machine draws
  // less often instead of stuttering. No visible figure waits longer than PATIENCE_MS.
  frame(plotly, now) {
    const lost = Math.min(Math.round((now - this.last) / FRAME_MS) - 1, 10);
    this.debt = this.drew && lost > 0 ? this.debt + REST * lost : Math.max(0, this.debt - 1);
    this.last = now;
    this.drew = false;
    let moved = 0;
    for (const card of this.waiting) {
      const age = now - card.drawn;
      if (card === this.held) { card.next = card.nextShape = null; continue; } // what was prepared does not know the zoom to come
      if (moved >= QUICK_A_FRAME) continue;
      if (!this.measure(card)) { this.waiting.delete(card); continue; }
      const room = !moved && (this.debt <= 0 || age > PATIENCE_MS);
      if (this.move(plotly, card, now, room)) moved += 1;
      else if (room && !this.drew) {
        this.draw(plotly, card, now);
        this.drew = true;
      }
      if (this.drew) break;
    }
    this.ticking = this.waiting.size > 0 || this.drew;
    if (this.ticking) requestAnimationFrame((next) => this.frame(plotly, next));
  }

  measure(card) {
    return card.hasFigure && card.width >= 40 && card.height >= 40;
  }

  fit(card) {
    const drawing = card.drawing();
    const { layout } = drawing;
    Object.assign(layout, { width: card.width, height: card.height, autosize: false });
    drawing.ranges = keepZoom(card, layout);
    // A finger must be able to scroll past a plot; enlarged, it zooms.
    if (this.coarse && !card.enlarged) layout.dragmode = false;
    if (card.height > card.width) stand(drawing);
    if (document.documentElement.hasAttribute("data-presenting")) project(drawing);
    if (namesAbove(card.width)) drawing.layout = withoutNames(layout);
    return drawing;
  }

  // A figure under the pointer always goes through Plotly, which answers it. Axes that end elsewhere, and shapes, take `room`.
  move(plotly, card, now, room) {
    if (card.enlarged || now - card.full > FULL_MS || card.element.matches(":hover, :focus-within")) return false;
    card.next ??= this.fit(card);
    card.nextShape ??= shapeOf(card.next);
    if (card.nextShape !== card.shape) return false;
    const frame = frameOf(card.next);
    const edits = changed(frame, card.frame);
    const framed = Object.keys(edits).length > 0;
    if (framed && !room) return false;
    if (framed) {
      plotly.relayout(card.box, edits);
      card.frame = frame;
      this.drew = true;
    }
    if (!quick(card.box, card.next, framed)) {
      card.shape = ""; // Plotly draws it as soon as there is room
      return false;
    }
    this.done(card, card.next, now);
    return true;
  }

  draw(plotly, card, now) {
    const drawing = card.next ?? this.fit(card);
    const { data, layout } = drawing;
    card.shape = card.nextShape ?? shapeOf(drawing);
    card.frame = frameOf(drawing);
    card.full = now;
    this.done(card, drawing, now);
    plotly.react(card.box, data, layout, { ...CONFIG, displayModeBar: this.coarse ? false : "hover" });
    if (card.listening) return;
    card.listening = true;
    card.box.on("plotly_click", (event) => card.clicked(event.points[0]));
    card.box.on("plotly_relayout", () => card.relaid());
    link(card);
  }

  done(card, drawing, now) {
    card.drawn = now;
    card.ranges = drawing.ranges;
    card.next = card.nextShape = null;
    this.waiting.delete(card);
    card.sayDrawn();
  }

  forget(card) {
    this.waiting.delete(card);
    unlink(card);
    if (window.Plotly) window.Plotly.purge(card.box);
  }
}
