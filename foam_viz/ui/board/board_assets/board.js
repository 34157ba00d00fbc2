// The board: a head (status, time, table of runs) over a grid of cards. It subscribes to the feed by itself; Streamlit says
// once what to look at, and again when its controls change that. The DOM stays.
import { Card } from "./card.js";
import { Cards } from "./cards.js";
import { Feed } from "./feed.js";
import { Focus } from "./focus.js";
import { Head } from "./head.js";
import { Keys } from "./keys.js";
import { applyPalette, isDark } from "./paint.js";
import { Plots } from "./plots.js";
import { Time } from "./time.js";

const MARGIN = "200px"; // cards this near to the window are drawn already when they come into it
const JITTER_MS = 2000; // so long at most a page that only watches waits before it follows, so that not all ask at once
const OUTLINE_MS = 5000;
const GONE_MS = 1000; // after which the page is drawn again where what it shows is gone; later each time
const GONE_TRIES = 6;
const boards = new WeakMap();

export default async function (component, styleUrl, plotlyUrl) {
  const root = component.parentElement.querySelector(".foam-board");
  if (!root) return undefined;
  if (!boards.has(root)) boards.set(root, new Board(root, plotlyUrl));
  const board = boards.get(root);
  board.tell = component.setTriggerValue;
  await loadStyle(styleUrl);
  board.receive(component.data);
  // Streamlit also calls this when an update overtakes a slow one, so look whether the board is really gone.
  return () => setTimeout(() => root.isConnected || board.destroy(), 0);
}

function loadStyle(url) {
  const known = document.head.querySelector("link[data-foam-board]");
  if (known && known.href === url) return known.loaded;
  const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href: url });
  link.dataset.foamBoard = "";
  link.loaded = new Promise((done) => { link.onload = link.onerror = () => { if (known) known.remove(); done(); }; });
  document.head.append(link);
  return link.loaded;
}

const announce = (name, detail) => window.dispatchEvent(new CustomEvent(name, { detail }));
const make = (tag, className) => Object.assign(document.createElement(tag), { className });

class Board {
  constructor(root, plotlyUrl) {
    this.root = root;
    this.cards = new Map();
    this.offered = new Set();
    this.look = {};
    this.plots = new Plots(plotlyUrl);
    this.plots.load().catch(() => {}); // now, so that the first figure need not wait; a failure is told when one does
    this.head = new Head((value) => this.follow(value));
    this.time = new Time((at, led) => { this.see({ at }); if (!led) announce("foam:saw", { at }); }, (at) => this.say("moment", { at }));
    this.led = ({ detail }) => this.time.lead(detail.at);
    window.addEventListener("foam:lead", this.led);
    this.keys = new Keys(() => this.page?.shortcuts ?? []);
    this.focus = new Focus();
    this.chooser = new Cards({ cards: () => this.shown ?? [], about: () => this.about(), choose: (names) => this.chooseCards(names) });
    this.head.top.append(this.time.element, ...this.chooser.elements, ...this.keys.elements);
    this.grid = make("div", "fb-grid");
    this.absent = make("p", "fb-absent");
    this.trouble = make("p", "fb-trouble");
    this.trouble.role = "status";
    this.trouble.hidden = this.absent.hidden = true;
    // Its colour follows the page's theme through CSS; the end of its transition tells that the theme changed.
    this.sentinel = Object.assign(make("i", "fb-sentinel"), { ariaHidden: "true" });
    this.sentinel.addEventListener("transitionend", () => this.retheme());
    root.replaceChildren(this.sentinel, this.head.element, this.grid, this.absent, this.trouble);
    this.sight = new IntersectionObserver((entries) => this.seen(entries), { root: scroller(root), rootMargin: MARGIN });
    this.hide = () => this.feed?.send();
    document.addEventListener("visibilitychange", this.hide);
  }

  // --- what Streamlit says

  receive(page) {
    this.retheme();
    if (page.panels && JSON.stringify(page.panels) !== this.toldCards) { this.cardsChosen = page.panels; this.toldCards = JSON.stringify(page.panels); }
    this.page = page;
    this.chooser.offer(page.panels ? page.presets : null);
    if (page.source !== this.source && !(this.source && page.goes_on)) {
      this.time.begin(page.plays);
      this.look = {};
    }
    if (page.look_serial !== this.serial) this.look = { at: this.look.at ?? null, ...page.look };
    Object.assign(this, { serial: page.look_serial, source: page.source });
    this.controlKey(page.session);
    this.feed ??= new Feed(new URL(page.feed, document.baseURI).href.replace(/^http/, "ws"), {
      state: () => this.state(), frame: (frame) => this.apply(frame), trouble: (words) => this.warn(words, "trouble"), gone: () => this.gone() });
    clearTimeout(this.going);
    this.feed.retry();
    this.feed.send();
    announce("foam:board"); // whoever leads this page says to which moment
  }

  // --- what the feed is asked, and what it answers

  state() {
    const inView = [...this.cards.values()].filter((card) => card.inView);
    return { source: this.source, look: this.look, hidden: document.hidden, page: true, panels: inView.map((card) => card.id),
      have: Object.fromEntries(inView.filter((card) => card.revision).map((card) => [card.id, card.revision])) };
  }

  see(change) {
    this.look = { ...this.look, ...change };
    this.feed?.send();
  }

  apply(frame) {
    this.retheme();
    clearTimeout(this.going);
    this.goneTries = 0;
    this.warn(frame.busy ? "Updates once a second: the server is busy" : "", "busy");
    this.head.update(frame);
    if (this.page.time) this.time.update(frame, this.look.at ?? null);
    this.frame = frame;
    this.arrange();
    this.outline(frame.outline);
  }

  // The cards of a frame that the reader wants to see.
  arrange() {
    const { frame } = this;
    const panels = this.chooser.wanted(frame.panels, this.page.panels ? this.cardsChosen : []);
    this.shown = frame.panels;
    for (const panel of panels) this.card(panel, frame.follows);
    const kept = new Set(panels.map((panel) => panel.id));
    for (const [id, card] of this.cards) if (!kept.has(id)) { this.sight.unobserve(card.slot); card.destroy(); this.cards.delete(id); }
    this.order(panels);
    const hidden = frame.panels.length - panels.length;
    const words = [frame.absent, hidden ? `${hidden} ${hidden > 1 ? "cards are" : "card is"} not shown: choose above, under Cards.` : ""].filter(Boolean).join(" ");
    this.absent.hidden = !words;
    this.absent.textContent = words;
  }

  chooseCards(names) {
    this.cardsChosen = names;
    this.toldCards = JSON.stringify(names);
    this.say("panels", { panels: names });
    if (this.frame) { this.arrange(); this.feed.changed(); }
  }

  // What files that are taken away are named after.
  about() {
    const lanes = this.frame?.lanes ?? [];
    return { look: this.look, name: this.page?.name || this.frame?.lanes[0]?.label || "", step: this.look.at ?? this.frame?.last ?? 0,
      dark: this.dark, source: this.source, plotly: this.plots.url, cards: [...this.cards.values()], lanes,
      followed: lanes.length > 1 && this.frame.follows ? lanes.find((lane) => lane.position === this.frame.focus)?.label : "" };
  }

  // A card's own choice: shown at once, and told to the page, which keeps it in the link.
  choose(change) {
    this.see(change);
    for (const card of this.cards.values()) card.chosen();
    this.say("look", change);
  }

  // A drawing; or the revision of one that is here; or, for a card out of sight, its place alone.
  card(panel, follows) {
    let card = this.cards.get(panel.id);
    if (!card) {
      card = new Card(panel.id, { plots: this.plots, follow: (value) => this.follow(value), choose: (change) => this.choose(change),
        range: ([x_from, x_to]) => this.see({ x_from, x_to }), about: () => this.about(), pick: (point) => this.say("pick", { point }) });
      this.cards.set(panel.id, card);
      this.grid.append(card.slot);
      this.sight.observe(card.slot);
    }
    card.follows = follows;
    if ("figure" in panel) card.update(panel, this.dark);
    else if ("title" in panel) card.place(panel);
    else if (card.revision !== panel.revision) { card.revision = null; this.feed.lacks(); }
  }

  // Cards stand in the order of the panels, whenever each of them came; one that stands right is not touched.
  order(panels) {
    panels.forEach((panel, place) => {
      const { slot } = this.cards.get(panel.id);
      if (this.grid.children[place] !== slot) this.grid.insertBefore(slot, this.grid.children[place] ?? null);
    });
  }

  seen(entries) {
    for (const { target, isIntersecting } of entries) for (const card of this.cards.values()) if (card.slot === target) card.visible = isIntersecting;
    this.feed?.changed();
  }

  // --- what the page is told

  // The panels follow at once, the choosers around them when Streamlit has drawn them again.
  follow({ factor, lane }) {
    this.see({ lane, factor: factor ?? this.look.factor });
    this.say("follow", { factor, lane });
  }

  // Only what the page asked to be told: each costs it a run.
  say(event, value) {
    if (this.page.tells.includes(event)) this.tell(event, value);
  }

  // A server that was started again gives the source anew once the page is drawn; one that has lost it makes the page say so.
  // Streamlit's own connection may be away for a while, so this is asked again.
  gone() {
    clearTimeout(this.going);
    this.goneTries = (this.goneTries ?? 0) + 1;
    if (this.goneTries > GONE_TRIES) return;
    this.going = setTimeout(() => { this.tell("outline", { outline: `gone ${this.goneTries}` }); this.gone(); }, GONE_MS * this.goneTries);
  }

  // The page around the board was drawn for another state of the run: it is drawn again, once a state.
  outline(now) {
    const steers = this.page.session?.control_key;
    const part = (outline) => (steers ? outline : outline.split(".")[0]); // what stands after the dot is for those who steer
    if (!now || part(now) === part(this.page.outline)) { clearTimeout(this.telling); this.told = null; return; }
    if (now === this.told && performance.now() - this.toldAt < OUTLINE_MS) return;
    Object.assign(this, { told: now, toldAt: performance.now() });
    clearTimeout(this.telling);
    this.telling = setTimeout(() => this.tell("outline", { outline: now }), steers ? 0 : Math.random() * JITTER_MS);
  }

  // The control key of a view lives in the tab: it survives a reload and is never part of a link.
  controlKey(session) {
    if (!session) return;
    const name = `foam_viz:${session.view_id}`;
    try {
      if (session.control_key) { sessionStorage.setItem(name, session.control_key); this.offered.delete(name); }
      else if (!this.offered.has(name) && sessionStorage.getItem(name)) {
        this.offered.add(name);
        this.tell("control", { view_id: session.view_id, control_key: sessionStorage.getItem(name) });
      }
    } catch { /* a browser that forbids storage only loses control at a reload */ }
  }

  // Lies over the page, so that nothing moves.
  warn(words, kind) {
    this.trouble.hidden = !words;
    this.trouble.dataset.kind = kind;
    if (words !== this.trouble.textContent) this.trouble.textContent = words;
  }

  retheme() {
    const dark = isDark(this.sentinel);
    if (dark === this.dark) return;
    this.dark = dark;
    applyPalette(this.root, dark);
    for (const card of this.cards.values()) card.repaint(dark);
  }

  destroy() {
    document.removeEventListener("visibilitychange", this.hide);
    window.removeEventListener("foam:lead", this.led);
    clearTimeout(this.telling);
    clearTimeout(this.going);
    this.feed?.end();
    this.time.destroy();
    this.keys.destroy();
    this.focus.destroy();
    this.sight.disconnect();
    for (const card of this.cards.values()) card.destroy();
    this.cards.clear();
    this.plots.destroy();
    boards.delete(this.root);
  }
}

// What scrolls the page: the margin around what is in sight counts only for the element that scrolls.
function scroller(element) {
  for (let at = element.parentElement; at; at = at.parentElement) if (/auto|scroll/.test(getComputedStyle(at).overflowY)) return at;
  return null;
}
