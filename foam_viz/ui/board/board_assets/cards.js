// Which cards are shown: presets by name, or one by one; and the cards in view as one file to take away.
import { menu } from "./menu.js";
import { page } from "./take_page.js";

const FURTHER = "metrics"; // stands for the cards of all further metrics

const make = (tag, className, text) => {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
};
const idOf = (panel) => (panel.id.startsWith("metric-") ? FURTHER : panel.id);

export class Cards {
  // cards(): all that the page has; about(): for the file; choose(names): the reader's choice, empty for all.
  constructor({ cards, about, choose }) {
    Object.assign(this, { cards, choose, presets: [], chosen: [], titles: {} });
    this.choice = menu("Choose cards", "▦", () => this.list());
    this.away = menu("Take the page away", "⤓", (close) => {
      const button = make("button", "fb-choice", "HTML, the cards in view, interactive");
      button.type = "button";
      button.onclick = () => { close(); page(about()); };
      return [button];
    });
    this.elements = [...this.choice, ...this.away];
    this.choice[0].hidden = true;
  }

  // presets: [name, words, ids]; null where the page offers no choice.
  offer(presets) {
    this.presets = presets ?? [];
    this.choice[0].hidden = !presets;
  }

  // The panels that are shown: those chosen, in reading order; all where none of them is here.
  wanted(panels, chosen) {
    this.chosen = chosen;
    for (const panel of panels) if (panel.title) this.titles[idOf(panel)] = idOf(panel) === FURTHER ? "Further metrics" : panel.title;
    const names = new Set(chosen.flatMap((name) => this.presets.find((preset) => preset[0] === name)?.[2] ?? [name]));
    const shown = panels.filter((panel) => names.has(idOf(panel)));
    return shown.length ? shown : panels;
  }

  list() {
    const all = [...new Set(this.cards().map(idOf))];
    const names = new Set(this.wanted(this.cards(), this.chosen).map(idOf));
    const row = make("div", "fb-presets");
    row.append(...[["", "All", []], ...this.presets].map(([name, words]) => {
      const button = make("button", "fb-live", words);
      button.type = "button";
      button.setAttribute("aria-pressed", String(name ? this.chosen.length === 1 && this.chosen[0] === name : !this.chosen.length));
      button.onclick = () => { this.choose(name ? [name] : []); this.choice[1].replaceChildren(...this.list()); };
      return button;
    }));
    const boxes = all.map((id) => {
      const label = make("label", "fb-switch fb-listed", this.titles[id] ?? id);
      const box = Object.assign(make("input"), { type: "checkbox", checked: names.has(id) });
      box.onchange = () => {
        box.checked ? names.add(id) : names.delete(id);
        const left = all.filter((each) => names.has(each));
        this.choose(left.length === all.length ? [] : left);
      };
      label.prepend(box);
      return label;
    });
    return [row, ...boxes];
  }
}
