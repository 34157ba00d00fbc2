// What every page has at its top: the secret by which the server knows this browser, and the button that copies the link.
import { explain } from "./glossary.js";
import { tour } from "./tour.js";

const NAME = "foam_viz:browser";
const SECRET = /^[0-9a-f]{32}$/;
const SHOWN_MS = 2500;
const tools = new WeakMap();

export default function (component) {
  const root = component.parentElement.querySelector(".foam-page-tools");
  if (!root) return undefined;
  if (!tools.has(root)) tools.set(root, new Tools(root));
  explain();
  tour(component.data?.page);
  tools.get(root).introduce(component.data?.secret, component.setTriggerValue);
  return () => setTimeout(() => root.isConnected || tools.delete(root), 0);
}

class Tools {
  constructor(root) {
    this.told = null;
    this.button = Object.assign(document.createElement("button"), { type: "button", className: "foam-copy-link" });
    this.button.title = "The link opens this page as you see it. Uploaded files are not part of it.";
    this.said = Object.assign(document.createElement("span"), { className: "foam-copy-said" });
    this.said.setAttribute("role", "status");
    this.say("");
    this.button.addEventListener("click", () => this.copy());
    root.replaceChildren(this.button, this.said);
  }

  // A server that does not know this tab yet offers a new secret; a browser that has one already tells that instead.
  introduce(offered, tell) {
    if (!SECRET.test(offered ?? "") || offered === this.told) return;
    this.told = offered;
    tell("browser", { secret: kept(offered) });
  }

  async copy() {
    const link = location.href;
    if (await copied(link)) this.say("Link copied");
    else this.offer(link);
  }

  say(words) {
    this.button.textContent = words || "Copy link";
    this.said.textContent = words;
    clearTimeout(this.timer);
    if (words) this.timer = setTimeout(() => this.say(""), SHOWN_MS);
  }

  // Where the browser lets no script copy, the link is selected for the reader to copy.
  offer(link) {
    const box = Object.assign(document.createElement("input"), { value: link, readOnly: true, className: "foam-link-box" });
    box.setAttribute("aria-label", "The link of this page: copy it with Ctrl+C");
    const close = () => { box.remove(); this.button.hidden = false; };
    box.addEventListener("blur", close);
    box.addEventListener("keydown", (event) => { if (event.key === "Escape") { close(); this.button.focus(); } });
    this.button.hidden = true;
    this.button.after(box);
    box.focus();
    box.select();
    this.said.textContent = "Copy the selected link";
  }
}

function kept(offered) {
  try {
    const known = localStorage.getItem(NAME);
    if (SECRET.test(known ?? "")) return known;
    localStorage.setItem(NAME, offered);
  } catch { /* a browser that forbids storage is a new one at each reload */ }
  return offered;
}

async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch { /* no permission, or no secure connection: the old way */ }
  const box = Object.assign(document.createElement("textarea"), { value: text });
  box.style.cssText = "position:fixed;opacity:0";
  const focused = document.activeElement;
  document.body.append(box);
  box.select();
  let done = false;
  try { done = document.execCommand("copy"); } catch { /* told by the value */ }
  box.remove();
  focused?.focus?.();
  return done;
}
