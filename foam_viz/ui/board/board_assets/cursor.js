// One cursor over all plots of a page with the same horizontal axis (`layout.meta.cursor`): where the pointer is in one of
// them, each shows a line. It is an element over the plot, so that no figure is drawn again for it.
const cards = new Set();

export function link(card) {
  cards.add(card);
  card.box.on("plotly_hover", (event) => show(card, event.xvals?.[0]));
  card.box.on("plotly_unhover", hide);
}

export function unlink(card) {
  cards.delete(card);
  hide();
}

const groupOf = (card) => card.parts?.layout.meta?.cursor;

function show(from, value) {
  const group = groupOf(from);
  if (!group || !Number.isFinite(value)) return;
  for (const card of cards) {
    const full = card.box._fullLayout;
    const at = groupOf(card) === group && full?.xaxis ? full.xaxis.c2p(value) : NaN;
    if (at >= 0 && at <= full.xaxis._length) place(card, full.xaxis._offset + at, full._size);
    else if (card.rule) card.rule.hidden = true;
  }
}

function place(card, left, { t, h }) {
  card.rule ??= Object.assign(document.createElement("i"), { className: "fb-cursor", ariaHidden: "true" });
  if (card.rule.parentElement !== card.box) card.box.append(card.rule);
  card.rule.hidden = false;
  Object.assign(card.rule.style, { left: `${left}px`, top: `${t}px`, height: `${h}px` });
}

function hide() {
  for (const card of cards) if (card.rule) card.rule.hidden = true;
}
