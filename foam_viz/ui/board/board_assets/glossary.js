// Terms of the glossary, explained where they are used. The page's text is left as it is: terms get a dotted line through the
// browser's highlights, and what is under the pointer or the finger is looked up. With the keyboard: F2 steps from term to term.
import { TERMS } from "./terms.js";

const PLACES = ".stMarkdown :is(p, li), [data-testid='stCaptionContainer'] p, .fb-help, .fb-reading, .fb-words, .fb-runs thead th, .fb-title";
const SKIP = "a, button, code, input, textarea, select, .foam-term-card, .stTooltipHoverTarget";
const WAIT_MS = 350;
const SCAN_MS = 500;
const MOST = 400;
const words = new Map();
// A fixed phrase that holds a term's word and means something else stands for no term: as the longer one it is found first.
for (const term of TERMS) for (const phrase of term.not_in) words.set(phrase.toLocaleLowerCase(), null);
for (const term of TERMS) for (const word of [term.name, ...term.also]) words.set(word.toLocaleLowerCase(), term);
const letters = [...words.keys()].sort((one, other) => other.length - one.length)
  .map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&").replace(/ /g, "\\s+"));
// A term is no part of a word, and after a number a single letter is a unit: 4 h are hours.
const FIND = new RegExp(`(?<![\\p{L}\\p{N}\\p{M}_-])(?!(?<=\\p{N}\\s*)\\p{L}(?![\\p{L}\\p{N}]))(?:${letters.join("|")})(?![\\p{L}\\p{N}\\p{M}_-])`, "giu");

// The terms in a text: each with its place, and the word that stands there.
export function found(text) {
  return [...text.matchAll(FIND)].flatMap(({ 0: word, index }) => {
    const term = words.get(word.toLocaleLowerCase().replace(/\s+/g, " "));
    return term && rightCase(word, term) ? [{ term, word, index }] : [];
  });
}

export function explain() {
  if (window.__foamTerms) return;
  window.__foamTerms = new Terms();
}

class Terms {
  constructor() {
    this.ranges = [];
    this.card = Object.assign(document.createElement("div"), { className: "foam-term-card", popover: "manual" });
    this.card.setAttribute("role", "status");
    new MutationObserver((changes) => { if (changes.some(({ target }) => !this.card.contains(target))) this.later(); })
      .observe(document.body, { childList: true, subtree: true });
    document.addEventListener("pointermove", (event) => this.point(event), { passive: true });
    document.addEventListener("click", (event) => this.tap(event));
    document.addEventListener("scroll", () => this.hide(), { capture: true, passive: true });
    document.addEventListener("keydown", (event) => this.press(event));
    this.later();
  }

  later() {
    this.scanning ??= setTimeout(() => { this.scanning = undefined; this.idle(() => this.scan()); }, SCAN_MS);
  }

  idle(then) {
    if (window.requestIdleCallback) requestIdleCallback(then, { timeout: 1000 });
    else setTimeout(then);
  }

  // The first use of each term in a paragraph.
  scan() {
    this.ranges = [];
    for (const place of document.querySelectorAll(PLACES)) {
      if (this.ranges.length >= MOST) break;
      const seen = new Set();
      const walker = document.createTreeWalker(place, NodeFilter.SHOW_TEXT, (node) => (node.parentElement.closest(SKIP) ? NodeFilter.FILTER_REJECT : NodeFilter.FILTER_ACCEPT));
      for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        for (const { term, word, index } of found(node.data)) {
          if (seen.has(term)) continue;
          seen.add(term);
          const range = new Range();
          range.setStart(node, index);
          range.setEnd(node, index + word.length);
          this.ranges.push({ range, term });
        }
      }
    }
    if (window.Highlight && CSS.highlights) CSS.highlights.set("foam-term", new Highlight(...this.ranges.map(({ range }) => range)));
  }

  under(x, y) {
    return this.ranges.find(({ range }) => [...range.getClientRects()].some((box) => x >= box.left && x <= box.right && y >= box.top && y <= box.bottom));
  }

  point({ clientX, clientY, pointerType }) {
    if (pointerType !== "mouse") return;
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => {
      const found = this.under(clientX, clientY);
      if (found) this.show(found);
      else if (!this.card.matches(":hover")) this.hide();
    }, this.shown ? 80 : WAIT_MS);
  }

  tap({ clientX, clientY }) {
    const found = this.under(clientX, clientY);
    if (found) this.show(found);
    else this.hide();
  }

  press(event) {
    if (event.key === "Escape") this.hide();
    if (event.key !== "F2" || !this.ranges.length) return;
    event.preventDefault();
    const at = this.ranges.findIndex((each) => each === this.shown);
    const next = this.ranges[(at + (event.shiftKey ? -1 : 1) + this.ranges.length) % this.ranges.length];
    next.range.startContainer.parentElement?.scrollIntoView({ block: "nearest" });
    this.show(next);
  }

  show(found) {
    if (this.shown === found) return;
    const { range, term } = found;
    const make = (tag, text) => Object.assign(document.createElement(tag), { textContent: text });
    this.card.replaceChildren(make("strong", term.name), make("p", term.words), ...(term.formula ? [make("code", term.formula)] : []),
      ...(term.source ? [make("small", term.source)] : []));
    if (!this.card.isConnected) (document.querySelector(".stApp") ?? document.body).append(this.card); // which has the colours
    this.card.showPopover?.();
    const [box] = range.getClientRects();
    if (!box) return;
    const { offsetWidth: width, offsetHeight: height } = this.card;
    const below = box.bottom + 6 + height < innerHeight;
    Object.assign(this.card.style, { left: `${Math.max(8, Math.min(box.left, innerWidth - width - 8))}px`, top: `${below ? box.bottom + 6 : Math.max(8, box.top - height - 6)}px` });
    this.shown = found;
  }

  hide() {
    if (!this.shown) return;
    this.shown = null;
    this.card.hidePopover?.();
  }
}

// h is the drift, H is a letter; FOAM is a method, foam is not.
function rightCase(found, term) {
  const written = [term.name, ...term.also];
  if (written.includes(found)) return true;
  const upper = (word) => word === word.toLocaleUpperCase();
  return found.length > 2 && !upper(found) && written.some((word) => !upper(word) && word.toLocaleLowerCase() === found.toLocaleLowerCase().replace(/\s+/g, " "));
}
