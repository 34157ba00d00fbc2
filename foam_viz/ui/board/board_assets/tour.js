// A first visitor's tour of the live lab: six stops, which can be left at any time and never come again by themselves.
const NAME = "foam_viz:tour";
const WAIT_MS = 1200; // until the page stands
const STOPS = [
  [".st-key-strip", "Run", "Start trains all optimizers side by side. Step, To check and To refresh go on by as much, so that you see one decision at a time."],
  ["[data-testid='stSidebar']", "Settings", "What is trained, and up to six optimizers. Begin with a preset; every setting explains itself when you point at its question mark."],
  [".fb-card[data-panel='loss']", "Loss", "Every run has its colour and its dash on all panels. What staleness costs is how far the curves part."],
  [".fb-card[data-panel='factor-map']", "Factors", "A cell is one factor. Click it, and the panels below look inside: spectrum, damping, drift."],
  [".fb-time", "Time", "Drag it back to any step: all panels show that moment, and training goes on. L shows the newest again."],
  [".foam-copy-link", "Take it with you", "The link opens this page as you see it. The ? on a card says how to read it, and dotted words explain themselves."],
];

export function tour(page) {
  if (page !== "live-lab" || window.__foamTour || known()) return;
  window.__foamTour = true;
  setTimeout(() => new Tour().show(0), WAIT_MS);
}

function known() {
  try { return localStorage.getItem(NAME) !== null; } catch { return true; } // where nothing is kept, it would come each time
}

class Tour {
  constructor() {
    const make = (tag, more) => Object.assign(document.createElement(tag), more);
    this.card = make("div", { className: "foam-tour" });
    this.card.setAttribute("role", "dialog");
    this.card.setAttribute("aria-labelledby", "foam-tour-title");
    this.title = make("strong", { id: "foam-tour-title" });
    this.words = make("p", {});
    this.skip = make("button", { type: "button", textContent: "Skip", onclick: () => this.end() });
    this.back = make("button", { type: "button", textContent: "Back", onclick: () => this.show(this.at - 1) });
    this.next = make("button", { type: "button", className: "foam-tour-next", onclick: () => this.show(this.at + 1) });
    const row = make("div", {});
    row.append(this.skip, this.back, this.next);
    this.card.append(this.title, this.words, row);
    this.key = (event) => { if (event.key === "Escape") this.end(); };
    document.addEventListener("keydown", this.key);
    (document.querySelector(".stApp") ?? document.body).append(this.card); // which has the colours
    this.gone = setInterval(() => { if (!document.querySelector(".st-key-strip")) this.end(); }, 1000); // another page
    try { localStorage.setItem(NAME, "seen"); } catch { /* see known() */ }
  }

  show(at) {
    this.leave();
    if (at >= STOPS.length) { this.end(); return; }
    this.at = at;
    const [selector, title, words] = STOPS[at];
    this.title.textContent = `${at + 1} of ${STOPS.length}: ${title}`;
    this.words.textContent = words;
    this.back.disabled = at === 0;
    this.next.textContent = at === STOPS.length - 1 ? "Done" : "Next";
    this.place = document.querySelector(selector);
    this.place?.classList.add("foam-tour-place");
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.place?.scrollIntoView({ block: "nearest", behavior: still ? "auto" : "smooth" });
    this.next.focus({ preventScroll: true });
  }

  leave() {
    this.place?.classList.remove("foam-tour-place");
  }

  end() {
    this.leave();
    clearInterval(this.gone);
    document.removeEventListener("keydown", this.key);
    this.card.remove();
  }
}
