// What keys and search words do.

import { byId, element, fill } from "./elements.js";

const KEYS = [
  ["← → ↑ ↓, Page, Home, End", "go through the frames"],
  ["Enter", "open the frame; where tags were changed, store them"],
  ["Space, Shift + arrows, Ctrl + A", "choose frames; what you say is then said of all of them"],
  ["the key of a tag", "it holds, it does not, as before"],
  ["Enter, with a frame open", "the tags are right as shown: store that, and go to the next frame"],
  ["Shift + Enter, with a frame open", "store only the tags that you changed, and go to the next frame"],
  [".", "forget what you changed"],
  ["Backspace or Ctrl + Z", "take the last correction back"],
  ["Esc", "back to all frames; choose no frame"],
  ["+ and −, wheel, drag", "zoom and move the picture"],
  ["`", "logarithmic or linear"],
  [",", "the detector's picture, or the polar view that the network sees"],
  ["/", "search"],
];
const WORDS = [
  ["ring, -ring", "frames that have the tag, or that do not"],
  ["ring>0.9", "its score; also >=, <, <= and ="],
  ["x<2", "the position of a motor"],
  ["doubt>1, novelty>0.5", "the expected number of wrong tags; how far its scores are from corrected frames"],
  ["corrected", "frames that somebody corrected"],
];

export function showHelp(about) {
  const words = [...WORDS, ...Object.entries(about.words).map(([word, meaning]) => [`${word}:`, meaning.replaceAll("`", "")])];
  const tags = about.tags.filter((tag) => tag.key).map((tag) => [tag.key, `${tag.name}: ${tag.definition}`]);
  fill(byId("help-text"),
    element("h2", { textContent: "Keys" }), table(KEYS),
    element("h2", { textContent: "Words of the search" }), table(words),
    element("h2", { textContent: "Keys of the tags" }), table(tags));
  byId("help").showModal();
}

function table(lines) {
  const rows = lines.map(([key, meaning]) => element("tr", {}, element("td", {}, element("code", { textContent: key })), element("td", { textContent: meaning })));
  return element("table", {}, ...rows);
}
