// The sketch of a prediction: a point a run, which the reader moves up and down. What was measured is drawn over it once the
// page has it, with the answer.

const HEIGHT = 210;
const WIDEST = 620;
const EDGE = { left: 52, right: 18, top: 12, bottom: 44 };
const KEY_STEP = 0.02; // of the axis
const FINGER = 22; // radius within which a finger takes a point
const sketches = new WeakMap();

export default function (component) {
  const root = component.parentElement.querySelector(".foam-sketch");
  if (!root) return undefined;
  if (!sketches.has(root)) sketches.set(root, new Sketch(root));
  sketches.get(root).receive(component.data, component.setTriggerValue);
  return () => setTimeout(() => { if (!root.isConnected) { sketches.get(root)?.end(); sketches.delete(root); } }, 0);
}

function make(tag, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

class Sketch {
  constructor(root) {
    this.root = root;
    this.sized = new ResizeObserver(() => this.draw());
    this.sized.observe(root);
  }

  receive(data, tell) {
    const moved = this.losses;
    Object.assign(this, { data, tell });
    // What was moved here is newer than what the page was told a moment ago.
    this.losses = data.fixed || !moved ? [...(data.losses ?? data.names.map(() => data.given))] : moved;
    this.losses[0] = data.given;
    this.draw();
  }

  x(place) {
    return EDGE.left + (this.width - EDGE.left - EDGE.right) * (place + 0.5) / this.data.names.length;
  }

  y(loss) {
    const { low, high } = this.data;
    return EDGE.top + (HEIGHT - EDGE.top - EDGE.bottom) * (high - loss) / (high - low);
  }

  loss(y) {
    const { low, high } = this.data;
    const loss = high - (high - low) * (y - EDGE.top) / (HEIGHT - EDGE.top - EDGE.bottom);
    return Math.round(1000 * Math.max(low, Math.min(high, loss))) / 1000;
  }

  draw() {
    if (!this.data || !this.root.clientWidth) return;
    this.width = Math.min(WIDEST, this.root.clientWidth);
    const { data, losses, width } = this;
    const { losses: _, ...frame } = data;
    const shape = JSON.stringify([frame, width]);
    if (shape === this.shape) { this.place(); return; } // a hand that drags a point keeps it
    this.shape = shape;
    const svg = make("svg", { width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, role: "group", "aria-label": `${data.up}, a point a run` });
    for (let at = 0; at <= 3; at += 1) {
      const loss = data.low + (data.high - data.low) * at / 3;
      svg.append(make("line", { class: "foam-sketch-grid", x1: EDGE.left, x2: width - EDGE.right, y1: this.y(loss), y2: this.y(loss) }),
        make("text", { x: EDGE.left - 8, y: this.y(loss) + 4, "text-anchor": "end" }, loss.toPrecision(2)));
    }
    data.names.forEach((name, place) => svg.append(make("text", { x: this.x(place), y: HEIGHT - EDGE.bottom + 18, "text-anchor": "middle" }, name)));
    svg.append(make("text", { class: "foam-sketch-title", x: (EDGE.left + width - EDGE.right) / 2, y: HEIGHT - 6, "text-anchor": "middle" }, data.across),
      make("text", { class: "foam-sketch-title", transform: `translate(12 ${(HEIGHT - EDGE.bottom + EDGE.top) / 2}) rotate(-90)`, "text-anchor": "middle" }, "Training loss"));
    if (data.found) svg.append(...this.found());
    this.line = make("polyline", { class: "foam-sketch-line" });
    this.points = losses.map((_, place) => this.point(place));
    svg.append(this.line, ...this.points);
    const focused = this.points.findIndex((_, place) => this.at === place && this.root.contains(document.activeElement));
    this.root.replaceChildren(svg);
    this.place();
    if (focused > 0) this.points[focused].focus({ preventScroll: true });
  }

  found() {
    const { found } = this.data;
    const line = found.map(([, mean], place) => `${this.x(place)},${this.y(mean)}`).join(" ");
    const ranges = found.map(([low, , high], place) => make("line", { class: "foam-sketch-range", x1: this.x(place), x2: this.x(place), y1: this.y(low), y2: this.y(high) }));
    const squares = found.map(([, mean], place) => make("rect", { class: "foam-sketch-found", x: this.x(place) - 5, y: this.y(mean) - 5, width: 10, height: 10 }));
    return [make("polyline", { class: "foam-sketch-measured", points: line }), ...ranges, ...squares];
  }

  // The first point is given; the others are sliders.
  point(place) {
    const group = make("g", { class: "foam-sketch-point" });
    const moves = place > 0 && !this.data.fixed;
    if (moves) {
      for (const [name, value] of Object.entries({ tabindex: 0, role: "slider", "aria-orientation": "vertical", "aria-label": `Loss of ${this.data.names[place]}`, "aria-valuemin": this.data.low, "aria-valuemax": this.data.high })) group.setAttribute(name, value);
      group.append(make("circle", { r: FINGER, class: "foam-sketch-hold" }));
      group.addEventListener("pointerdown", (event) => { event.preventDefault(); group.setPointerCapture(event.pointerId); group.focus({ preventScroll: true }); });
      group.addEventListener("pointermove", (event) => { if (group.hasPointerCapture(event.pointerId)) this.move(place, this.loss(event.clientY - this.root.firstChild.getBoundingClientRect().top)); });
      for (const kind of ["pointerup", "pointercancel"]) group.addEventListener(kind, () => this.say());
      group.addEventListener("keydown", (event) => this.press(place, event));
      group.addEventListener("focus", () => { this.at = place; });
    }
    group.append(make("circle", { r: moves ? 8 : 5, class: place ? "foam-sketch-dot" : "foam-sketch-dot foam-sketch-given" }));
    return group;
  }

  press(place, event) {
    const { low, high } = this.data;
    const step = { ArrowUp: KEY_STEP, ArrowRight: KEY_STEP, ArrowDown: -KEY_STEP, ArrowLeft: -KEY_STEP, PageUp: 5 * KEY_STEP, PageDown: -5 * KEY_STEP }[event.key];
    if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    this.move(place, Math.round(1000 * Math.max(low, Math.min(high, this.losses[place] + step * (high - low)))) / 1000);
    clearTimeout(this.resting);
    this.resting = setTimeout(() => this.say(), 300);
  }

  move(place, loss) {
    this.losses[place] = loss;
    this.changed = true;
    this.place();
  }

  // Everything stands where the losses say.
  place() {
    this.line.setAttribute("points", this.losses.map((loss, place) => `${this.x(place)},${this.y(loss)}`).join(" "));
    this.points.forEach((point, place) => {
      point.setAttribute("transform", `translate(${this.x(place)} ${this.y(this.losses[place])})`);
      if (!point.hasAttribute("role")) return;
      point.setAttribute("aria-valuenow", this.losses[place]);
      point.setAttribute("aria-valuetext", this.losses[place].toPrecision(3));
    });
  }

  say() {
    clearTimeout(this.resting);
    if (!this.changed) return;
    this.changed = false;
    this.tell("drawn", { losses: this.losses });
  }

  end() {
    this.say();
    this.sized.disconnect();
  }
}
