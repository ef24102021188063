// @ts-check
"use strict";
// Load what is lacking, then draw; and the words to follow at first.

const main = (() => {
  const { state } = view;
  let turn = 0, started = false;

  // An update that a later one overtakes draws nothing.
  async function update() {
    const mine = ++turn;
    choices.settle();
    const entry = view.entry(), { measure, role, tensor, panels } = state;
    document.body.setAttribute("aria-busy", "true");
    try {
      const [words, points, ...series] = await Promise.all([
        loading.loadWords(entry.data), loading.loadSeries(entry, tensor),
        ...panels.map((panel) => loading.loadSeries(entry, panel)),
      ]);
      const other = await loadOther(view.otherEntry(), tensor, panels);
      if (mine !== turn) return;
      view.words = words;
      view.shown = { entry, measure, role, tensor, panels, scatter: points, series, other };
      state.epoch = Math.min(state.epoch, entry.epochs.length - 1);
      $("problem").hidden = true;
      if (!started) start();
      state.followed = state.followed.filter((word) => words.ids.has(word));
      state.cursor = null;
      tip.hide();
      choices.drawAbout();
      terms.draw();
      scatter.drawLegend();
      redraw();
      document.body.dataset.ready = "true";
    } catch (error) {
      if (mine !== turn) return;
      $("problem").textContent = /** @type {Error} */ (error).message;
      $("problem").hidden = false;
    }
    document.body.removeAttribute("aria-busy");
  }

  // The run that the chosen one is compared with; series that it lacks are null.
  /** @type {(entry: Entry | null, tensor: string, panels: string[]) => Promise<Other | null>} */
  async function loadOther(entry, tensor, panels) {
    if (!entry) return null;
    const has = view.tensors(entry, view.state);
    /** @type {(name: string) => Promise<Series> | null} */
    const load = (name) => (has.includes(name) ? loading.loadSeries(entry, name) : null);
    const [words, points, ...series] = await Promise.all(
      [loading.loadWords(entry.data), load(tensor), ...panels.map(load)]);
    return { entry, words, scatter: points, series };
  }

  function redraw() {
    epochs.draw();
    trajectories.drawChips();
    scatter.draw();
    trajectories.draw();
    address.remember();
  }

  // Follows the three most frequent words of each class, unless the address names others.
  function start() {
    const { words, manifest } = view;
    started = true;
    if (state.followed.length) return;
    for (const name of ["closed", "open"]) { // ids go by frequency
      for (let id = manifest.specials, n = 0; id < words.word.length && n < 3; id++) {
        if (words.pos_class[id] === name) { state.followed.push(words.word[id]); n++; }
      }
    }
    if (!state.followed.length) state.followed = words.word.slice(manifest.specials, manifest.specials + 6);
  }

  // Follows a word, or lets it go if it is followed.
  /** @type {(word: string, toggle?: boolean) => void} */
  function follow(word, toggle = true) {
    const index = state.followed.indexOf(word);
    if (index < 0) {
      if (state.followed.length === style.MOST_FOLLOWED) state.followed.shift();
      state.followed.push(word);
    } else if (toggle) state.followed.splice(index, 1);
    $("spoken").textContent = state.followed.includes(word) ? `Following ${word}` : `No longer following ${word}`;
    redraw();
  }

  return { update, redraw, follow };
})();

address.recall();
for (const part of [choices, scatter, trajectories, epochs, search, style]) part.listen();
main.update().then(() => {
  if (view.shown) for (const plot of [scatter, trajectories]) plot.listenToPlot();
});
