// The connection to the feed (docs/feed.md): says as a whole what the page looks at, hands each frame on, and comes back by
// itself after a cut. One look is under way at a time; of those asked for meanwhile only the newest is sent.

const FIRST_RETRY_MS = 250;
const LAST_RETRY_MS = 5000;
const LOST_MS = 2000; // a shorter cut is not worth a word
const GATHER_MS = 30; // panels that scroll into sight together are asked for together
const LONGEST = 2000; // characters of a message; what is here already is left out of a longer one, and sent again
const ANSWER_MS = 1500; // so long a newer look waits for the answer to an older one

export class Feed {
  // state() gives {source, look, panels, have, hidden, page}; frame(update) draws; trouble(words) tells what is wrong,
  // gone() that what is looked at is not there.
  constructor(address, { state, frame, trouble, gone }) {
    Object.assign(this, { address, state, frame, trouble, gone, socket: null, number: 0, sent: "", under: 0, tries: 0, refused: false, ended: false });
    this.queue = Promise.resolve();
    this.again = () => { if (this.socket?.readyState !== WebSocket.OPEN) this.connect(); };
    window.addEventListener("online", this.again);
    this.connect();
  }

  connect() {
    clearTimeout(this.retrying);
    if (this.ended || (this.socket && this.socket.readyState <= WebSocket.OPEN)) return;
    const socket = new WebSocket(this.address);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => { this.sent = ""; this.under = 0; this.send(); };
    // Frames are inflated one after the other, so that none overtakes another.
    socket.onmessage = ({ data }) => { this.queue = this.queue.then(() => this.receive(socket, data)); };
    socket.onclose = () => this.lost();
    this.socket = socket;
  }

  lost() {
    if (this.ended || this.refused) return; // what was refused is asked again once something else is looked at
    this.losing ??= setTimeout(() => this.trouble("Connection lost, trying again"), LOST_MS);
    const pause = Math.min(FIRST_RETRY_MS * 2 ** this.tries, LAST_RETRY_MS);
    this.tries += 1;
    this.retrying = setTimeout(() => this.connect(), pause * (0.75 + Math.random() / 2)); // all pages of a class, not at once
  }

  async receive(socket, data) {
    if (socket !== this.socket) return;
    try {
      const update = await inflate(data);
      if (update.n >= this.under) this.under = 0;
      if (update.problem) this.complain(update);
      else {
        this.frame(update);
        this.tries = 0;
        clearTimeout(this.losing);
        this.losing = undefined;
      }
      if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ got: update.k }));
    } catch (error) {
      console.error("foam_viz board:", error);
      socket.close();
    }
    this.send();
  }

  complain({ problem, again }) {
    clearTimeout(this.losing);
    this.losing = undefined;
    this.refused = !again;
    this.trouble(problem);
    if (!again) this.gone?.();
    if (again) this.retrying = setTimeout(() => { this.sent = ""; this.again(); this.send(); }, LAST_RETRY_MS * (0.5 + Math.random() / 2));
  }

  // The page was drawn again, and may have brought back what was gone.
  retry() {
    if (!this.refused) return;
    this.refused = false;
    this.sent = "";
    this.tries = 0;
    this.again();
    this.send();
  }

  // What is in sight may have changed.
  changed() {
    this.gathering ??= setTimeout(() => this.send(), GATHER_MS);
  }

  // Says what is looked at, unless it was said already.
  send() {
    clearTimeout(this.gathering);
    this.gathering = undefined;
    const state = this.state();
    if (this.ended || !state.source) return;
    const look = JSON.stringify([state.source, state.look]);
    if (this.refused && look !== this.looked) { this.refused = false; this.tries = 0; this.again(); }
    if (this.socket.readyState !== WebSocket.OPEN) return;
    const asked = JSON.stringify([look, state.panels, state.hidden, this.lacking]);
    if (asked === this.sent) return;
    const moved = look !== this.looked;
    const left = moved && this.under ? this.since + ANSWER_MS - performance.now() : 0;
    if (left > 0) { this.gathering = setTimeout(() => this.send(), left); return; } // the answer comes here sooner
    this.sent = asked;
    this.looked = look;
    this.number += 1;
    if (moved) Object.assign(this, { under: this.number, since: performance.now() });
    const text = JSON.stringify({ n: this.number, ...state });
    this.socket.send(text.length < LONGEST ? text : JSON.stringify({ n: this.number, ...state, have: {} }));
  }

  // A frame spoke of a drawing that is not here: everything is asked for again.
  lacks() {
    this.lacking = (this.lacking ?? 0) + 1;
  }

  end() {
    this.ended = true;
    for (const timer of [this.retrying, this.losing, this.gathering]) clearTimeout(timer);
    window.removeEventListener("online", this.again);
    this.socket?.close();
  }
}

async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).json();
}
