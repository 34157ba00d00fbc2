// Colours: figures arrive in the light palette and are repainted for dark paper here, without asking the server.
import { DARK, DARK_OF, LIGHT } from "./theme.js";

const HEX = /^#[0-9a-f]{6}$/i;
const RGBA = /^rgba\((\d+),(\d+),(\d+),([0-9.]+)\)$/;
const WORDS = new Set(["bdata", "text", "hovertext", "hovertemplate", "ticktext", "name", "customdata", "meta"]);

const channels = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
const hex = (numbers) => `#${numbers.map((n) => (+n).toString(16).padStart(2, "0")).join("")}`.toUpperCase();

export function colour(value, dark) {
  if (!dark) return value;
  if (HEX.test(value)) return DARK_OF[value.toUpperCase()] ?? value;
  const parts = RGBA.exec(value);
  const partner = parts && DARK_OF[hex(parts.slice(1, 4))];
  return partner ? `rgba(${channels(partner).join(",")},${parts[4]})` : value;
}

// A deep copy, because Plotly writes into what it is given, in the colours of the theme.
export function paint(value, dark) {
  if (Array.isArray(value)) return value.map((item) => paint(item, dark));
  if (value && typeof value === "object") {
    const copy = {};
    for (const [key, item] of Object.entries(value)) copy[key] = WORDS.has(key) && typeof item === "string" ? item : paint(item, dark);
    return copy;
  }
  return typeof value === "string" ? colour(value, dark) : value;
}

export function isDark(element) {
  const [r, g, b] = (getComputedStyle(element).backgroundColor.match(/[\d.]+/g) ?? [255, 255, 255]).map(Number);
  return 0.299 * r + 0.587 * g + 0.114 * b < 128;
}

export function applyPalette(root, dark) {
  root.dataset.theme = dark ? "dark" : "light";
  for (const [name, value] of Object.entries(dark ? DARK : LIGHT)) root.style.setProperty(`--fb-${name.replace("_", "-")}`, value);
}

export const card = (dark) => (dark ? DARK : LIGHT).card;
export const ink = (dark) => (dark ? DARK : LIGHT).ink;
