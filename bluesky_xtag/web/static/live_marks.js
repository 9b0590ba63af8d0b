// How a place is drawn on the map and in the legend: a colour, and a sign that says the same without colour.

import { STATE, STATES, TAGS, SCORES } from "./live_state.js";
import { mix } from "./run_map.js";

const SIGNS = { waiting: "…", late: "L", dropped: "–", unreadable: "?", failed: "×" };
const WORDS = {
  waiting: "no tags yet", ok: "tagged", late: "late: not tagged in time", dropped: "dropped: the queue was full",
  unreadable: "unreadable: no pixels", failed: "failed: the model did not answer",
};
export const wordsOf = (state) => WORDS[state];

// The looks of places, by what the map is coloured by: "" for the tag that says most, or the name of a tag.
export class Looks {
  constructor(tags) {
    this.tags = tags;
    this.byName = new Map(tags.map((tag) => [tag.name, tag]));
  }

  mainTag(run, place) {
    const held = place[TAGS].map((at) => this.byName.get(run.about.tags[at])).filter((tag) => tag?.rank);
    return held.length ? held.reduce((best, tag) => (tag.rank < best.rank ? tag : best)) : null;
  }

  of(run, place, by) {
    const state = STATES[place[STATE]];
    if (state !== "ok") return { state, name: state, sign: SIGNS[state] };
    if (by) {
      const score = place[SCORES][run.about.tags.indexOf(by)] ?? null;
      return score === null ? { state, name: "no score", sign: "" } : { state, name: "", fill: mix(score), sign: "", score };
    }
    const tag = this.mainTag(run, place);
    return tag ? { state, name: tag.name, fill: tag.colour, sign: tag.key } : { state, name: "no tag", fill: "", sign: "·" };
  }

  ofTag(tag) {
    return { state: "ok", name: tag.name, fill: tag.colour, sign: tag.key };
  }
}

export function palette() {
  const style = getComputedStyle(document.documentElement);
  const names = ["ink", "soft", "line", "line-strong", "paper", "tile", "accent", "warn"];
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

// Draw one in a box. What has no tags is hatched; what waits has a dashed border.
export function drawMark(context, look, x, y, wide, high, colours) {
  const [left, top] = [x - wide / 2, y - high / 2];
  const plain = look.state === "ok";
  context.fillStyle = (plain && look.fill) || colours.tile;
  context.fillRect(left, top, wide, high);
  if (!plain || !look.fill) {
    if (look.state !== "waiting" && !plain) hatch(context, left, top, wide, high, colours["line-strong"]);
    context.strokeStyle = plain || look.state === "waiting" ? colours["line-strong"] : colours.warn;
    context.lineWidth = plain ? 1 : 1.5;
    context.setLineDash(look.state === "waiting" ? [3, 3] : []);
    context.strokeRect(left + 0.75, top + 0.75, Math.max(wide - 1.5, 1), Math.max(high - 1.5, 1));
    context.setLineDash([]);
  }
  const size = Math.min(Math.min(wide, high) * 0.62, 18);
  if (!look.sign || size < 7) return;
  context.font = `700 ${size}px system-ui, "DejaVu Sans", sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  if (!plain) { // a ground of its own, so that the hatching does not cross the sign
    context.fillStyle = colours.paper;
    context.beginPath();
    context.arc(x, y, size * 0.68, 0, 7);
    context.fill();
  }
  context.fillStyle = plain && look.fill ? inkOn(look.fill) : colours.ink;
  context.fillText(look.sign, x, y + size * 0.06);
  context.textBaseline = "alphabetic";
}

function hatch(context, left, top, wide, high, colour) {
  context.save();
  context.beginPath();
  context.rect(left, top, wide, high);
  context.clip();
  context.beginPath();
  for (let at = -high; at < wide; at += 6) {
    context.moveTo(left + at, top + high);
    context.lineTo(left + at + high, top);
  }
  context.strokeStyle = colour;
  context.lineWidth = 1;
  context.stroke();
  context.restore();
}

// Black or white, whichever is easier to read on a colour.
export function inkOn(colour) {
  const parts = [1, 3, 5].map((from) => parseInt(colour.slice(from, from + 2), 16) / 255);
  const [red, green, blue] = parts.map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  const light = 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  return light > 0.179 ? "#000000" : "#ffffff";
}

// Where the next frame comes.
export function drawCross(context, x, y, size, colours) {
  for (const [colour, wide] of [[colours.paper, 6], [colours.ink, 2.5]]) {
    context.strokeStyle = colour;
    context.lineWidth = wide * size;
    context.beginPath();
    context.arc(x, y, 11 * size, 0, 7);
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      context.moveTo(x + 5 * size * dx, y + 5 * size * dy);
      context.lineTo(x + 17 * size * dx, y + 17 * size * dy);
    }
    context.stroke();
  }
}

// A small picture of a mark or of the cross, for the legend.
export function picture(draw, side = 20) {
  const canvas = document.createElement("canvas");
  const ratio = window.devicePixelRatio || 1;
  canvas.width = canvas.height = side * ratio;
  canvas.style.width = canvas.style.height = `${side}px`;
  canvas.setAttribute("aria-hidden", "true");
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  draw(context, side / 2);
  return canvas;
}

export const markPicture = (look, colours, side = 20) => picture((context, half) => drawMark(context, look, half, half, side, side, colours), side);
export const crossPicture = (colours) => picture((context, half) => drawCross(context, half, half, half / 18, colours));
