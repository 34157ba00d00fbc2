// The connection of a page to its class (docs/class.md). A student's page goes to what the presenter shows; the presenter's
// page tells the moment it shows, hears how many follow, and has keys.

const FIRST_RETRY_MS = 300;
const LAST_RETRY_MS = 5000;
const TELL_MS = 100; // between two moments of the presenter that are told
const NEWS_MS = 1000; // between two times the page is drawn again for what the class did
const END_MS = 2000; // between two times the page is drawn again for the end of the class, until it was
const END_TRIES = 20;
const JITTER_MS = 400; // pages of a class follow within this time, so that not all ask at once
const KEYS = { PageDown: "next", ArrowRight: "next", n: "next", PageUp: "back", ArrowLeft: "back", p: "back",
  r: "predictions", q: "code", c: "runs", Escape: "close" };
const connections = new WeakMap();

export default function (component) {
  const root = component.parentElement.querySelector(".foam-class");
  if (!root) return undefined;
  if (!connections.has(root)) connections.set(root, new Connection(root));
  connections.get(root).receive(component.data, component.setTriggerValue);
  return () => setTimeout(() => { if (!root.isConnected) { connections.get(root)?.end(); connections.delete(root); } }, 0);
}

class Connection {
  constructor(root) {
    Object.assign(this, { root, state: null, tries: 0, over: false, ended: false, asked: null });
    this.words = Object.assign(document.createElement("span"), { className: "foam-class-said" });
    this.words.setAttribute("role", "status");
    root.replaceChildren(this.words);
    this.lead = () => this.follow();
    this.saw = ({ detail }) => this.tellMoment(detail.at);
    this.key = (event) => this.press(event);
    window.addEventListener("foam:board", this.lead);
    window.addEventListener("foam:saw", this.saw);
    window.addEventListener("keydown", this.key, true);
  }

  receive(data, tell) {
    const before = this.data;
    Object.assign(this, { data, tell });
    clearTimeout(this.ending);
    document.documentElement.toggleAttribute("data-presenting", data.role === "presenter");
    if (before && before.class !== data.class) { this.over = false; this.state = null; this.socket?.close(); }
    if (data.class && !this.over) this.connect();
    else if (!data.class) this.say("");
    this.apply();
  }

  connect() {
    clearTimeout(this.retrying);
    if (this.ended || !this.data.class || (this.socket && this.socket.readyState <= WebSocket.OPEN)) return;
    const { data } = this;
    const socket = new WebSocket(new URL("class", document.baseURI).href.replace(/^http/, "ws"));
    socket.onopen = () => socket.send(JSON.stringify({ class: data.class, ...(data.key ? { key: data.key } : { student: data.student }) }));
    socket.onmessage = (event) => { if (socket === this.socket) this.hear(JSON.parse(event.data)); };
    socket.onclose = () => this.lost(socket);
    this.socket = socket;
  }

  lost(socket) {
    if (this.ended || this.over || socket !== this.socket) return;
    this.say("Connection to the class lost, trying again");
    const pause = Math.min(FIRST_RETRY_MS * 2 ** this.tries, LAST_RETRY_MS);
    this.tries += 1;
    this.retrying = setTimeout(() => this.connect(), pause * (0.75 + Math.random() / 2));
  }

  hear(state) {
    this.tries = 0;
    if (state.ended) {
      this.over = true;
      this.say(this.data.role === "presenter" ? "The class is over." : state.ended);
      this.finish();
      return;
    }
    const before = this.state;
    this.state = state;
    this.apply(before);
  }

  apply(before = this.state) {
    const { state, data } = this;
    if (!state || this.over) return;
    if (data.role === "presenter") {
      this.say(`${state.follow} of ${state.joined} follow · ${state.predicted} predicted · ${state.points} results`);
      if ((data.watches ?? []).some((name) => state[name] !== before?.[name])) this.news("changed", NEWS_MS);
      return;
    }
    this.say("");
    if (state.following !== data.following) this.news(`following ${state.following}`, 0);
    else if (!state.following) return;
    else if (state.scene !== data.scene) this.news(state.scene, Math.random() * JITTER_MS);
    else this.follow();
  }

  // Streamlit's own connection may be away, as when the server has just been started again: the page is asked for until it comes.
  finish(tries = 0) {
    this.tell("news", { what: `ended ${tries}` });
    if (tries < END_TRIES) this.ending = setTimeout(() => this.finish(tries + 1), END_MS);
  }

  // The page is drawn again by the server, once for each piece of news.
  news(what, wait = 0) {
    if (this.data.role !== "presenter" && this.asked === what) return;
    this.asked = what;
    if (this.data.role === "presenter" && this.telling) return;
    clearTimeout(this.telling);
    this.telling = setTimeout(() => { this.telling = undefined; this.asked = null; this.tell("news", { what }); }, wait);
  }

  // The board shows the presenter's moment.
  follow() {
    if (this.data?.role !== "student" || !this.state?.following || this.state.scene !== this.data.scene) return;
    window.dispatchEvent(new CustomEvent("foam:lead", { detail: { at: this.state.at } }));
  }

  tellMoment(at) {
    if (this.data?.role !== "presenter" || !this.data.class) return;
    this.moment = at;
    this.sending ??= setTimeout(() => {
      this.sending = undefined;
      if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify({ at: this.moment }));
    }, TELL_MS);
  }

  press(event) {
    const name = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (this.data?.role !== "presenter" || !name || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = event.target.closest?.("input, textarea, select, [contenteditable], [role=combobox], [role=slider], [role=radiogroup], dialog");
    if (at && (event.key.startsWith("Arrow") || at.matches("input:not([type=range]), textarea, [contenteditable], dialog"))) return;
    event.preventDefault();
    event.stopPropagation(); // the app has letters of its own
    this.tell("press", { name, at: Date.now() });
  }

  say(words) {
    if (this.words.textContent !== words) this.words.textContent = words;
  }

  end() {
    this.ended = true;
    document.documentElement.removeAttribute("data-presenting");
    for (const timer of [this.retrying, this.telling, this.sending, this.ending]) clearTimeout(timer);
    window.removeEventListener("foam:board", this.lead);
    window.removeEventListener("foam:saw", this.saw);
    window.removeEventListener("keydown", this.key, true);
    this.socket?.close();
  }
}
