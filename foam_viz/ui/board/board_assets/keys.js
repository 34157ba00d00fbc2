// Keys that press the buttons of the page, and the list of all keys on "?".

const OWN = [["←  →", "The step before, the one after (on the time cursor)"], ["↑ ↓ ← →", "Another factor (on the factor map or the raster)"],
  ["L", "The newest step"], ["Esc", "Close what is open"], ["?", "This list"]];
const TYPING = "input, textarea, select, button, a, summary, [contenteditable], [role=combobox], [role=slider], [role=application], dialog";

const make = (tag, className, text) => {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
};
const shown = (key) => (key === " " ? "Space" : key.toUpperCase());

export class Keys {
  // shortcuts(): {key, words, buttons} of the page.
  constructor(shortcuts) {
    this.shortcuts = shortcuts;
    this.dialog = make("dialog", "fb-keys");
    this.dialog.setAttribute("aria-label", "Keys");
    this.dialog.onclick = (event) => event.target === this.dialog && this.dialog.close();
    this.button = Object.assign(make("button", "fb-action", "⌨"), { type: "button", title: "Keys (?)", onclick: () => this.list() });
    this.button.setAttribute("aria-label", "Keys");
    this.elements = [this.button, this.dialog];
    this.press = (event) => this.pressed(event);
    window.addEventListener("keydown", this.press);
  }

  list() {
    const rows = [...this.shortcuts().map(({ key, words }) => [shown(key), words]), ...OWN].map(([key, words]) => {
      const row = make("div");
      row.append(make("dt", "", key), make("dd", "", words));
      return row;
    });
    const list = make("dl");
    list.append(...rows);
    const close = Object.assign(make("button", "fb-live", "Close"), { type: "button", onclick: () => this.dialog.close() });
    this.dialog.replaceChildren(make("h2", "", "Keys"), list, close);
    this.dialog.showModal();
  }

  pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || event.repeat) return;
    const inside = event.target.closest?.(TYPING);
    if (event.key === "?" && !event.target.closest?.("input, textarea, [contenteditable]")) {
      event.preventDefault();
      this.dialog.open ? this.dialog.close() : this.list();
      return;
    }
    // On a button the space bar presses that button; letters do nothing there, and so go on to the page.
    if (inside && (event.key === " " || !inside.matches("button, a, summary"))) return;
    const shortcut = this.shortcuts().find(({ key }) => key === event.key.toLowerCase());
    if (!shortcut) return;
    event.preventDefault();
    this.click(shortcut, 6);
  }

  // While the page is drawn anew its buttons are away for a moment: a press waits half a second for them.
  click(shortcut, tries) {
    const button = [...document.querySelectorAll(shortcut.buttons.map((key) => `.st-key-${key} button`).join())].find((each) => !each.disabled && each.checkVisibility());
    if (button) button.click();
    else if (tries) setTimeout(() => this.click(shortcut, tries - 1), 90);
  }

  destroy() {
    window.removeEventListener("keydown", this.press);
  }
}
