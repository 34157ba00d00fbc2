// The board: a head (status and table of runs) over a grid of cards. Called by Streamlit on every update; the DOM stays.
import { Card } from "./card.js";
import { Head } from "./head.js";
import { Plots } from "./plots.js";
import { applyPalette, isDark } from "./paint.js";

const PATIENCE_MS = 700;
const boards = new WeakMap();

export default async function (component, styleUrl, plotlyUrl) {
  const root = component.parentElement.querySelector(".foam-board");
  if (!root) return undefined;
  if (!boards.has(root)) boards.set(root, new Board(root, plotlyUrl, loadStyle(styleUrl)));
  const board = boards.get(root);
  board.send = component.setTriggerValue;
  await board.receive(component.data);
  // Streamlit also calls this when an update overtakes a slow one, so look whether the board is really gone.
  return () => setTimeout(() => root.isConnected || board.destroy(), 0);
}

function loadStyle(url) {
  const known = document.head.querySelector("link[data-foam-board]");
  if (known && known.href === url) return Promise.resolve();
  return new Promise((done) => {
    const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href: url });
    link.dataset.foamBoard = "";
    link.onload = link.onerror = () => { if (known) known.remove(); done(); };
    document.head.append(link);
  });
}

class Board {
  constructor(root, plotlyUrl, styled) {
    this.root = root;
    this.cards = new Map();
    this.queue = styled;
    this.seen = null;
    this.offered = new Set();
    this.asking = 0;
    this.plots = new Plots(plotlyUrl);
    this.plots.load().catch(() => {}); // now, so that the first figure need not wait; a failure is told when one does
    this.head = new Head((value) => this.send("follow", value));
    this.grid = Object.assign(document.createElement("div"), { className: "fb-grid" });
    // Its colour follows the page's theme through CSS; the end of its transition tells that the theme changed.
    this.sentinel = Object.assign(document.createElement("i"), { className: "fb-sentinel", ariaHidden: "true" });
    this.sentinel.addEventListener("transitionend", () => this.retheme());
    root.replaceChildren(this.sentinel, this.head.element, this.grid);
    this.hidden = false;
    this.sight = () => this.tellSight();
    document.addEventListener("visibilitychange", this.sight);
  }

  // Updates are inflated one after the other, so that none overtakes another.
  receive(bytes) {
    if (!bytes || bytes === this.seen) return this.queue.then(() => this.retheme());
    this.seen = bytes;
    this.queue = this.queue.then(() => inflate(bytes)).then((update) => this.apply(update)).catch((error) => {
      console.error("foam_viz board:", error);
      this.askAgain();
    });
    return this.queue;
  }

  apply(update) {
    this.retheme();
    this.head.update(update);
    const lacking = update.panels.filter((panel) => !this.card(panel, update.follows));
    const kept = new Set(update.panels.map((panel) => panel.id));
    for (const [id, card] of this.cards) if (!kept.has(id)) { card.destroy(); this.cards.delete(id); }
    this.order(update.panels);
    clearTimeout(this.asking);
    if (lacking.length) this.askAgain();
    this.controlKey(update.session);
    this.sees = Boolean(update.session);
    this.tellSight();
  }

  // False when the panel cannot be drawn because the update that carried it was skipped.
  card(panel, follows) {
    let card = this.cards.get(panel.id);
    if (card && card.revision === panel.revision) { card.follows = follows; return true; }
    if (!("title" in panel)) return false;
    if (!card) {
      card = new Card(panel.id, this.plots, (value) => this.send("follow", value), (value) => this.send("range", value));
      this.cards.set(panel.id, card);
      this.grid.append(card.slot);
    }
    card.follows = follows;
    card.update(panel, this.dark);
    return true;
  }

  // Cards stand in the order of the panels, whenever each of them came; one that stands right is not touched.
  order(panels) {
    const slots = panels.map((panel) => this.cards.get(panel.id)?.slot).filter(Boolean);
    slots.forEach((slot, place) => { if (this.grid.children[place] !== slot) this.grid.insertBefore(slot, this.grid.children[place] ?? null); });
  }

  // While something runs, the next update most likely brings what is lacking: ask only when it does not.
  askAgain() {
    clearTimeout(this.asking);
    this.asking = setTimeout(() => this.send("resend", { at: Math.round(performance.now()) }), PATIENCE_MS);
  }

  retheme() {
    const dark = isDark(this.sentinel);
    if (dark === this.dark) return;
    this.dark = dark;
    applyPalette(this.root, dark);
    for (const card of this.cards.values()) card.repaint(dark);
  }

  // The control key of a view lives in the tab: it survives a reload and is never part of a link.
  controlKey(session) {
    if (!session) return;
    const name = `foam_viz:${session.view_id}`;
    try {
      if (session.control_key) sessionStorage.setItem(name, session.control_key);
      else if (!this.offered.has(name) && sessionStorage.getItem(name)) {
        this.offered.add(name);
        this.send("control", { view_id: session.view_id, control_key: sessionStorage.getItem(name) });
      }
    } catch { /* a browser that forbids storage only loses control at a reload */ }
  }

  // What nobody sees need not be trained for ever: the server is told when the page goes out of sight and comes back.
  tellSight() {
    if (document.hidden === this.hidden || !this.sees) return;
    this.hidden = document.hidden;
    this.send("hidden", { hidden: this.hidden });
  }

  destroy() {
    document.removeEventListener("visibilitychange", this.sight);
    clearTimeout(this.asking);
    for (const card of this.cards.values()) card.destroy();
    this.cards.clear();
    this.plots.destroy();
    boards.delete(this.root);
  }
}

async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).json();
}
