// The time cursor: which step of the runs is shown, or the newest one. It looks at the past of a run that goes on or of a
// recorded one alike; it plays what was recorded, and never touches the training.

const REST_MS = 500; // a step is told to the page once the hand rests
const TICK_MS = 250;
const DURATIONS = { "15 s": 15, "30 s": 30, "2 min": 120, "10 min": 600 };

const ENDED = new Set(["finished", "diverged", "interrupted"]);

const make = (tag, className, more) => Object.assign(document.createElement(tag), { className, ...more });
const count = (step) => step.toLocaleString("en");

export class Time {
  // see(at, led) changes the step shown, null for the newest, and whether another page leads; rest(at) tells it once it stays.
  constructor(see, rest) {
    Object.assign(this, { see, rest, at: null, first: 0, last: 0, playing: false, dragging: false });
    this.element = make("div", "fb-time", { hidden: true });
    this.play = make("button", "fb-action fb-play", { type: "button", onclick: () => this.toggle() });
    this.slider = make("input", "fb-slider", { type: "range", step: 1 });
    this.slider.setAttribute("aria-label", "Step shown");
    this.slider.oninput = () => {
      const at = Number(this.slider.value); // before anything is shown again, which sets it
      this.stop();
      this.to(at);
    };
    this.slider.onpointerdown = () => { this.dragging = true; };
    this.release = () => { this.dragging = false; };
    this.words = make("output", "fb-step");
    this.live = make("button", "fb-live", { type: "button", title: "Show the newest step (L)", onclick: () => this.end() });
    this.pace = make("select", "fb-pace", { title: "Time in which the whole run plays" });
    this.pace.setAttribute("aria-label", this.pace.title);
    this.pace.append(...Object.keys(DURATIONS).map((words) => new Option(words, words)));
    this.pace.value = "15 s";
    this.element.append(this.play, this.slider, this.words, this.live, this.pace);
    this.key = (event) => this.press(event);
    for (const kind of ["pointerup", "pointercancel"]) window.addEventListener(kind, this.release);
    window.addEventListener("keydown", this.key);
    this.show();
  }

  // Another run is looked at.
  begin(plays) {
    this.stop();
    this.at = null;
    this.wants = plays && !matchMedia("(prefers-reduced-motion: reduce)").matches;
  }

  update({ first, last, lanes }, at) {
    this.element.hidden = false;
    this.element.inert = !(last > first); // a run that has not begun keeps the place
    this.live.textContent = lanes.every((lane) => ENDED.has(lane.state)) ? "End" : "Live";
    if (this.element.inert) return;
    Object.assign(this, { first, last, at: this.playing ? this.at : at });
    if (this.wants) { this.wants = false; this.toggle(); }
    this.show();
  }

  show() {
    const at = Math.max(this.first, Math.min(this.at ?? this.last, this.last));
    // Under a hand that drags, the far end stays where it is.
    if (!this.dragging) Object.assign(this.slider, { min: this.first, max: this.last, value: at });
    const part = (at - this.slider.min) / (this.slider.max - this.slider.min || 1);
    this.slider.style.setProperty("--part", `${100 * part}%`);
    const words = `Step ${count(at)} of ${count(this.last)}`;
    this.words.textContent = words;
    this.slider.setAttribute("aria-valuetext", this.at === null ? `${words}, the newest` : `${words}, L for the newest`);
    this.live.setAttribute("aria-pressed", String(this.at === null));
    this.play.textContent = this.playing ? "❚❚" : "▶";
    this.play.title = this.playing ? "Stop playing" : "Play what was recorded";
    this.play.setAttribute("aria-label", this.play.title);
  }

  to(at) {
    this.at = at >= this.last ? null : at;
    this.show();
    this.see(this.at);
    clearTimeout(this.resting);
    if (!this.playing) this.resting = setTimeout(() => this.rest(this.at), REST_MS);
  }

  // Another page leads: its moment is shown, and nobody is told.
  lead(at) {
    this.stop();
    this.wants = false;
    this.at = at;
    this.show();
    this.see(at, true);
  }

  end() {
    this.stop();
    this.to(this.last);
  }

  toggle() {
    if (this.playing) { this.stop(); this.to(this.at ?? this.last); return; }
    this.playing = true;
    if (this.at === null) this.to(this.first);
    this.timer = setInterval(() => this.tick(), TICK_MS);
    this.show();
  }

  // The steps played are the same for everybody, so that a server draws each of them once.
  tick() {
    if (document.hidden) return;
    const length = this.last - this.first;
    const ticks = (1000 / TICK_MS) * DURATIONS[this.pace.value];
    const tick = Math.floor(((this.at - this.first) / length) * ticks + 1e-9) + 1;
    const next = Math.max(this.first + Math.round((tick / ticks) * length), this.at + 1);
    if (next >= this.last) this.stop();
    this.to(next);
  }

  stop() {
    clearInterval(this.timer);
    this.playing = false;
    this.show();
  }

  press(event) {
    if (this.element.hidden || this.element.inert || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target === this.slider && event.key === " ") { event.preventDefault(); this.toggle(); }
    if (event.key.toLowerCase() === "l" && !event.target.closest?.("input:not([type=range]), textarea, select, [contenteditable], [role=combobox]")) this.end();
  }

  destroy() {
    this.stop();
    clearTimeout(this.resting);
    for (const kind of ["pointerup", "pointercancel"]) window.removeEventListener(kind, this.release);
    window.removeEventListener("keydown", this.key);
  }
}
