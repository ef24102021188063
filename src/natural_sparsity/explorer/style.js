// @ts-check
"use strict";
// Colours, shapes and lines; light and dark.

const style = (() => {
  // Shape tells what colour tells: [name in the data, label, colour, glyph of the legend, plotly's symbol], drawn in turn.
  /** @type {Record<State["colour"], Group[]>} */
  const GROUPS = {
    class: [["", "neither", "grey", "•", "circle"], ["open", "open", "blue", "●", "circle"], ["closed", "closed", "red", "■", "square"]],
    pos: [
      ["", "no majority, or other", "grey", "•", "circle"],
      ["NOUN", "noun", "blue", "●", "circle"], ["PROPN", "proper noun", "sky", "●", "circle"],
      ["VERB", "verb", "green", "●", "circle"], ["ADJ", "adjective", "purple", "●", "circle"],
      ["ADV", "adverb", "orange", "●", "circle"], ["INTJ", "interjection", "black", "●", "circle"],
      ["ADP", "adposition", "red", "◆", "diamond"], ["AUX", "auxiliary", "orange", "▼", "triangle-down"],
      ["CCONJ", "coordinating conj.", "purple", "✚", "cross"], ["DET", "determiner", "blue", "■", "square"],
      ["PART", "particle", "black", "★", "star"], ["PRON", "pronoun", "green", "▲", "triangle-up"],
      ["SCONJ", "subordinating conj.", "sky", "✖", "x"],
    ],
  };
  const LINES = ["blue", "red", "green", "purple", "orange", "sky", "black"];
  const DASHES = ["solid", "dash", "dot"];

  /** @type {(name: string) => string} */
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  // The group that a word is coloured by: the name of one of the groups, or "".
  /** @type {(id: number, words?: Words) => string} */
  function groupOf(id, words = view.words) {
    const { state } = view;
    const name = (state.colour === "class" ? words.pos_class[id] : words.pos[id]) ?? "";
    return GROUPS[state.colour].some(([group]) => group === name) ? name : "";
  }

  // Colour and dash of a word that is followed.
  /** @type {(word: string) => { color: string, dash: string }} */
  function lineOf(word) {
    const index = view.state.followed.indexOf(word);
    return { color: colour(LINES[index % LINES.length]), dash: DASHES[Math.floor(index / LINES.length) % DASHES.length] };
  }

  // What axes and plots have in common.
  /** @type {() => { axis: PlotOptions, layout: PlotOptions }} */
  function look() {
    const line = colour("line");
    return {
      axis: {
        gridcolor: colour("grid"), linecolor: line, tickcolor: line, ticks: "outside", showline: true, zeroline: false,
        exponentformat: "power",
      },
      layout: {
        paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false, hovermode: "closest",
        font: { family: getComputedStyle(document.body).fontFamily, size: 12.5, color: colour("soft") },
      },
    };
  }

  // Light or dark, as the system says until the button is pressed.
  /** @type {(name: string) => void} */
  function setTheme(name) {
    document.documentElement.dataset.theme = name;
    $("theme").textContent = name === "dark" ? "Light" : "Dark";
    $("theme").setAttribute("aria-label", name === "dark" ? "Use light colours" : "Use dark colours");
    if (view.shown) main.redraw();
  }

  function listen() {
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.onchange = () => setTheme(dark.matches ? "dark" : "light");
    $("theme").onclick = () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
    setTheme(dark.matches ? "dark" : "light");
  }

  return {
    GROUPS, MOST_FOLLOWED: LINES.length * DASHES.length, colour, groupOf, lineOf, look, listen,
    CONFIG: { displayModeBar: false, responsive: true, doubleClick: "reset", typesetMath: false },
  };
})();
