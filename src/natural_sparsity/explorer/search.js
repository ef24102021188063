// @ts-check
"use strict";
// The field that finds words to follow.

const search = (() => {
  const MOST = 12; // matches listed
  /** @type {number[]} */
  let matches = [];
  let chosen = -1;

  // The ids of matching words: the word itself, then those that begin with the text, then those that hold it.
  /** @type {(string: string) => number[]} */
  function find(string) {
    const wanted = string.toLowerCase(), starts = [], holds = [], { word } = view.words;
    if (!wanted) return [];
    for (let id = view.manifest.specials; id < word.length; id++) { // ids go by frequency
      const where = word[id].indexOf(wanted);
      if (where === 0 && word[id].length === wanted.length) starts.unshift(id);
      else if (where === 0) starts.push(id);
      else if (where > 0) holds.push(id);
    }
    return [...starts, ...holds].slice(0, MOST);
  }

  /** @type {(open: boolean) => void} */
  function draw(open) {
    $("matches").hidden = !open;
    $("search").setAttribute("aria-expanded", String(open));
    $("matches").replaceChildren(...matches.map((id, i) => {
      const item = document.createElement("li"), count = document.createElement("span");
      item.id = `match${i}`;
      item.setAttribute("role", "option");
      item.setAttribute("aria-selected", String(i === chosen));
      item.dataset.word = view.words.word[id];
      count.className = "count";
      count.textContent = text.number(view.words.count[id]);
      item.append(view.words.word[id], count);
      return item;
    }));
    if (open && !matches.length) {
      const item = document.createElement("li");
      item.textContent = text.inUnits("no such word in the vocabulary");
      $("matches").append(item);
    }
    if (open && chosen >= 0) $("search").setAttribute("aria-activedescendant", `match${chosen}`);
    else $("search").removeAttribute("aria-activedescendant");
  }

  /** @type {(word: string) => void} */
  function take(word) {
    main.follow(word, false);
    $("search").value = "";
    matches = [];
    draw(false);
  }

  function listen() {
    $("search").oninput = () => {
      matches = find($("search").value.trim());
      chosen = matches.length ? 0 : -1;
      draw($("search").value.trim() !== "");
    };
    $("search").onkeydown = (event) => {
      if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        event.preventDefault();
        if (matches.length) chosen = (chosen + (event.key === "ArrowDown" ? 1 : -1) + matches.length) % matches.length;
        draw(matches.length > 0);
      } else if (event.key === "Enter" && matches[chosen] !== undefined) take(view.words.word[matches[chosen]]);
      else if (event.key === "Escape") { matches = []; draw(false); }
    };
    $("search").onblur = () => draw(false);
    $("matches").onmousedown = (event) => { // before the field loses the focus
      const item = closest(event, "[data-word]");
      event.preventDefault();
      if (item) take(String(item.dataset.word));
    };
  }

  return { listen };
})();
