// Plotly, loaded once, and a queue that redraws at most one figure a frame so that the page never stutters.

const OFFSCREEN_MS = 1500;
const PATIENCE_MS = 1400;
const FRAME_MS = 1000 / 60;
const SMOOTH = 4;
const BUTTONS = ["toImage", "select2d", "lasso2d", "autoScale2d", "zoomIn2d", "zoomOut2d"];

export class Plots {
  constructor(url) {
    this.url = url;
    this.waiting = new Map();
    this.ticking = false;
    this.debt = 0;
    this.last = 0;
    this.coarse = matchMedia("(pointer: coarse)").matches;
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

  // `card` must offer box, visible, drawn (time of the last drawing) and figure(); only its newest state is drawn.
  ask(card) {
    this.waiting.set(card, true);
    if (this.ticking) return;
    this.ticking = true;
    this.load().then((plotly) => requestAnimationFrame((now) => this.frame(plotly, now)), (error) => {
      this.ticking = false;
      for (const each of this.waiting.keys()) each.fail("The plotting library could not be loaded. Reload the page; "
        + "if that does not help, restart the app so that it copies its static files again.");
      console.error("foam_viz board:", error);
    });
  }

  // Smoothness goes first: a drawing that cost a frame is followed by some frames without one, so that a slow machine
  // updates its figures less often instead of stuttering. No visible figure waits longer than PATIENCE_MS.
  frame(plotly, now) {
    const passed = now - this.last;
    if (passed < 100) {
      const lost = Math.round(passed / FRAME_MS) - 1;
      this.debt = this.drew && lost > 0 ? this.debt + SMOOTH * lost : Math.max(0, this.debt - 1);
    } else if (!this.drew) this.debt = 0;
    this.last = now;
    this.drew = false;
    for (const card of this.waiting.keys()) {
      const age = now - card.drawn;
      if (card.visible ? this.debt > 0 && age < PATIENCE_MS : age < OFFSCREEN_MS) continue;
      this.waiting.delete(card);
      this.draw(plotly, card, now);
      this.drew = true;
      break;
    }
    this.ticking = this.waiting.size > 0 || this.drew;
    if (this.ticking) requestAnimationFrame((next) => this.frame(plotly, next));
  }

  draw(plotly, card, now) {
    const { width, height } = card.box.getBoundingClientRect();
    if (width < 40 || height < 40 || !card.hasFigure) return;
    const { data, layout } = card.drawing();
    layout.width = Math.floor(width);
    layout.height = Math.floor(height);
    layout.autosize = false;
    // A finger must be able to scroll past a plot; enlarged, it zooms.
    if (this.coarse && !card.enlarged) layout.dragmode = false;
    if (width < 460) layout.annotations = (layout.annotations ?? []).filter((note) => note.name !== "end label");
    card.drawn = now;
    plotly.react(card.box, data, layout, { displaylogo: false, displayModeBar: this.coarse ? false : "hover",
      modeBarButtonsToRemove: BUTTONS, doubleClick: "reset", showTips: false });
    if (!card.listening) {
      card.listening = true;
      card.box.on("plotly_click", (event) => card.clicked(event.points[0]));
    }
  }

  forget(card) {
    this.waiting.delete(card);
    if (window.Plotly) window.Plotly.purge(card.box);
  }
}
