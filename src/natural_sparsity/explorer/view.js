"use strict";
// What the page shows: the choice, what is loaded for it, and how to ask that for values. Every other script uses it.

const view = {
  manifest: JSON.parse(document.getElementById("manifest").textContent),

  // What is chosen. What is loaded may be behind it.
  state: {
    run: "", seed: "", condition: "", measure: "", role: "target", tensor: "", panels: [], epoch: 0,
    colour: "class", least: 1, set: "all", log: false, hidden: new Set(), followed: [], cursor: null,
  },
  // What is loaded, and so drawn and described: {entry, measure, role, tensor, panels, scatter, series}. The scatter and
  // each of the series are {values, n, extents}, over epochs and ids.
  shown: null,
  words: null, // of the data: {unit, word, count, pos, pos_class}, arrays by id; ids: word → id; sets: Sets of ids by name
  drawn: [], // for each trace of the scatter, the ids of its points

  // The name of a run without its seed, as the list of runs has it.
  runOf: (entry) => `${entry.data}/${entry.model}`,

  // The entry of the manifest that is chosen.
  entry() {
    const { run, seed, condition } = view.state;
    return view.manifest.data.find(
      (d) => view.runOf(d) === run && String(d.seed) === seed && d.condition === condition);
  },

  // The tensors that there is something to show of, for a measure and a role.
  tensors: ({ series }, { measure, role }) => (Object.hasOwn(series, measure) ? series[measure][role] : []),

  // Whether a word is counted often enough, and in the set chosen.
  isShown(id) {
    const { state, words } = view;
    return words.count[id] >= state.least && (state.set === "all" || words.sets[state.set].has(id));
  },

  // Whether the learning rate dropped after an epoch, by its place, and a later one was trained at the lower rate.
  isDrop(epochs, place) {
    const { learning_rate_in: before, learning_rate_out: after } = epochs[place];
    return after < before && place < epochs.length - 1;
  },

  at: (data, id, epoch = view.state.epoch) => data.values[epoch * view.words.word.length + id],
  countAt: (data, id, epoch) => data.n[epoch * view.words.word.length + id],
};

const $ = (id) => document.getElementById(id);
