// Drives board_assets/feed.js with a connection and a clock of its own: prints what it said and did, as JSON.
import { readFileSync } from "node:fs";
import { mock } from "node:test";
import { deflateSync } from "node:zlib";

const source = readFileSync(process.argv[2], "utf8");
const { Feed } = await import(`data:text/javascript,${encodeURIComponent(source)}`);
mock.timers.enable({ apis: ["setTimeout", "Date"] });
let clock = 0;
performance.now = () => clock;
Math.random = () => 0.5;
const sockets = [];
globalThis.window = { addEventListener() {}, removeEventListener() {} };
globalThis.WebSocket = class {
  static OPEN = 1;
  constructor(url) { Object.assign(this, { url, readyState: 0, sent: [], at: clock }); sockets.push(this); }
  send(text) { this.sent.push(JSON.parse(text)); }
  close() { this.readyState = 3; this.onclose?.({ code: 1000 }); }
  open() { this.readyState = 1; this.onopen(); }
};
const newest = () => sockets.at(-1);
const pass = (ms) => { for (let left = ms; left > 0; left -= 10) { clock += 10; mock.timers.tick(10); } };
const hear = async (message) => {
  newest().onmessage({ data: deflateSync(JSON.stringify(message)) });
  while (!newest().sent.some(({ got }) => got === message.k)) await new Promise((done) => setImmediate(done)); // it inflates
  await new Promise((done) => setImmediate(done));
};
const asked = (socket = newest()) => socket.sent.filter((message) => "n" in message).map(({ n, look }) => [n, look.at]);

const state = { source: "s", look: { at: null }, panels: [], have: {}, hidden: false };
const words = [], frames = [], seen = {};
const feed = new Feed("ws://x/feed", { state: () => state, frame: (frame) => frames.push(frame.k), trouble: (text) => words.push([clock, text]), gone: () => { seen.gone = (seen.gone ?? 0) + 1; } });
newest().open();
await hear({ k: 1, n: 1, panels: [] });
for (const at of [5, 6, 7]) { state.look = { at }; feed.send(); }
seen.underWay = asked();
await hear({ k: 2, n: 1, panels: [] });
seen.olderAnswer = asked();
await hear({ k: 3, n: 2, panels: [] });
seen.answered = asked();
state.look = { at: 8 };
feed.send();
pass(1600);
seen.unanswered = asked();
seen.got = newest().sent.filter((message) => "got" in message).map((message) => message.got);
await hear({ k: 4, n: 4, panels: [] });
state.panels = ["a"];
feed.changed();
state.panels = ["a", "b"];
feed.changed();
pass(50);
seen.sight = newest().sent.filter((message) => "n" in message).slice(4).map((message) => message.panels);

const cutAt = clock;
seen.pauses = Array.from({ length: 7 }, () => {
  const [at, before] = [clock, sockets.length];
  newest().close();
  while (sockets.length === before) pass(10);
  return clock - at;
});
seen.connections = sockets.length;
pass(2000);
seen.lost = words.map(([at, text]) => [at - cutAt, text]);
newest().open();
seen.whole = { ...newest().sent[0] };
await hear({ k: 1, n: newest().sent[0].n, panels: [] });
await hear({ k: 2, n: newest().sent[0].n, problem: "gone", again: false });
newest().close();
pass(60000);
seen.refused = sockets.length - seen.connections;
seen.said = words.at(-1)[1];
state.source = "t";
feed.send();
seen.anew = sockets.length - seen.connections;
newest().open();
await hear({ k: 1, n: newest().sent[0].n, problem: "wait", again: true });
pass(6000);
seen.again = asked().length;
await hear({ k: 2, n: newest().sent.at(-1).n, problem: "gone", again: false });
const before = asked().length;
feed.send();
seen.left = asked().length - before;
feed.retry(); // the page was drawn again
seen.retried = asked().length - before;
feed.end();
console.log(JSON.stringify({ ...seen, frames }));
