// A button that is pressed is disabled while the run answers, and the browser takes the focus away from it. It gets it
// back; where it stays disabled, as Start does while the run trains, its counterpart gets it.
const COUNTERPARTS = { "do-start": "do-pause", "do-pause": "do-start" };
const LOOK_MS = 80, PATIENCE_MS = 60000;
const keyOf = (element) => /st-key-((?:do|phase)-[\w-]+)/.exec(element.closest?.("[class*=st-key-do-], [class*=st-key-phase-]")?.className)?.[1];
const pressable = (key) => [...document.querySelectorAll(`.st-key-${key} button`)].find((each) => !each.disabled && each.checkVisibility());

export class Focus {
  constructor() {
    this.press = (event) => this.pressed(event);
    this.leave = (event) => { if (event.type === "pointerdown" || event.key === "Tab") this.key = undefined; };
    window.addEventListener("click", this.press, true);
    window.addEventListener("pointerdown", this.leave, true);
    window.addEventListener("keydown", this.leave, true);
  }

  pressed(event) {
    const key = keyOf(event.target);
    if (!key || !event.target.closest("button")?.contains(document.activeElement)) return; // pressed by a shortcut: the focus is elsewhere
    this.key = key;
    this.until = performance.now() + PATIENCE_MS;
    clearTimeout(this.timer);
    this.look();
  }

  look() {
    const active = document.activeElement;
    const elsewhere = active && active !== document.body && keyOf(active) !== this.key;
    if (!this.key || elsewhere || performance.now() > this.until) return;
    if (!active || active === document.body || active.disabled) {
      const counterpart = COUNTERPARTS[this.key];
      (pressable(this.key) ?? (counterpart && pressable(counterpart)))?.focus({ preventScroll: true });
    }
    this.timer = setTimeout(() => this.look(), LOOK_MS);
  }

  destroy() {
    clearTimeout(this.timer);
    window.removeEventListener("click", this.press, true);
    window.removeEventListener("pointerdown", this.leave, true);
    window.removeEventListener("keydown", this.leave, true);
  }
}
