"use strict";
// What the page shows: the choice, what is loaded for it, and how to ask that for values. Every other script uses it.

const view = {
  manifest: JSON.parse(document.getElementById("manifest").textContent),

  // What is chosen. What is loaded may be behind it.
  state: {
    run: "", seed: "", condition: "", measure: "", role: "target", tensor: "", panels: [], epoch: 0,
    colour: "class", least: 1, log: false, hidden: new Set(), followed: [], cursor: null,
  },
  // What is loaded, and so drawn and described: {entry, measure, role, tensor, panels, scatter, series}. The scatter and
  // each of the series are {values, n, extents}, over epochs and ids.
  shown: null,
  words: null, // of the data: {unit, word, count, pos, pos_class}, arrays by id; ids: word → id
  drawn: [], // for each trace of the scatter, the ids of its points

  // The name of a run without its seed, as the list of runs has it.
  runOf: (entry) => `${entry.data}/${entry.model}`,

  // The entry of the manifest that is chosen.
  entry() {
    const { run, seed, condition } = view.state;
    return view.manifest.data.find(
      (d) => view.runOf(d) === run && String(d.seed) === seed && d.condition === condition);
  },

  at: (data, id, epoch = view.state.epoch) => data.values[epoch * view.words.word.length + id],
  countAt: (data, id, epoch) => data.n[epoch * view.words.word.length + id],
};

const $ = (id) => document.getElementById(id);
