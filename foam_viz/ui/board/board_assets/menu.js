// A quiet button with a popover: the browser closes it on Escape and on a click elsewhere, and keeps it above everything.

export function menu(label, glyph, content) {
  const button = Object.assign(document.createElement("button"), { type: "button", className: "fb-action", title: label });
  button.textContent = glyph;
  button.setAttribute("aria-label", label);
  const popover = Object.assign(document.createElement("div"), { className: "fb-popover" });
  popover.popover = "auto";
  button.popoverTargetElement = popover;
  popover.addEventListener("beforetoggle", (event) => {
    if (event.newState === "open") popover.replaceChildren(...content(() => popover.hidePopover()));
  });
  popover.addEventListener("toggle", (event) => {
    if (event.newState !== "open") return;
    const at = button.getBoundingClientRect();
    const left = Math.max(8, Math.min(at.right - popover.offsetWidth, innerWidth - popover.offsetWidth - 8));
    const below = at.bottom + 6 + popover.offsetHeight < innerHeight;
    popover.style.left = `${left}px`;
    popover.style.top = `${below ? at.bottom + 6 : at.top - popover.offsetHeight - 6}px`;
    popover.querySelector("button")?.focus();
  });
  return [button, popover];
}
