// @ts-check
"use strict";
// What the page shows: the choice, what is loaded for it, and how to ask that for values. Every other script uses it.

/** @type {View} */
const view = {
  manifest: JSON.parse(document.getElementById("manifest")?.textContent ?? ""),

  // What is chosen. What is loaded may be behind it.
  state: {
    run: "", seed: "", other: "", condition: "", measure: "", role: "target", tensor: "", panels: [], epoch: 0,
    colour: "class", least: 1, set: "all", log: false, hidden: new Set(), followed: [], cursor: null,
  },
  // What is loaded, and so drawn and described; null until a first load is done, and nothing is drawn before.
  shown: /** @type {Shown} */ (/** @type {unknown} */ (null)),
  words: /** @type {Words} */ (/** @type {unknown} */ (null)), // of the data shown
  drawn: [], // for each trace of the scatter, the ids of its points

  // The name of a run without its seed, as the list of runs has it.
  runOf: (entry) => `${entry.data}/${entry.model}`,

  // The seed of an entry that stands for all seeds of a run: their mean.
  ALL: "all",

  // An entry of the manifest for a choice, or one that averages the entries of all seeds; undefined if there is none.
  find({ run, seed, condition }) {
    const members = view.manifest.data.filter((d) => view.runOf(d) === run && d.condition === condition);
    return seed === view.ALL ? averaging.joinEntries(members) : members.find((d) => String(d.seed) === seed);
  },

  // The entry that is chosen, and the one that it is compared with: of the same seed, or of all if it lacks that.
  entry: () => /** @type {Entry} */ (view.find(view.state)), // the lists hold only what there is
  otherEntry() {
    const { other } = view.state, choice = { ...view.state, run: other };
    return other ? view.find(choice) || view.find({ ...choice, seed: view.ALL }) || null : null;
  },

  // The tensors that there is something to show of, for a measure and a role.
  tensors: ({ series }, { measure, role }) => (Object.hasOwn(series, measure) ? series[measure][role] : []),

  // Whether a word is counted often enough, and in the set chosen.
  isShown(id, words = view.words) {
    const { state } = view;
    return words.count[id] >= state.least && (state.set === "all" || Boolean(words.sets[state.set]?.has(id)));
  },

  // Whether the learning rate dropped after an epoch, by its place, and a later one was trained at the lower rate.
  isDrop(epochs, place) {
    return epochs[place].dropped && place < epochs.length - 1;
  },

  // A checkpoint of another run at the same time of training: its place, or -1.
  placeAt: (epochs, time) => epochs.findIndex((e) => Math.abs(e.time - time) < 1e-9),

  at: (data, id, epoch = view.state.epoch) => data.values[epoch * view.words.word.length + id],
  countAt: (data, id, epoch) => data.n[epoch * view.words.word.length + id],
};

// Whether the rate fell after each checkpoint; of several seeds, whether it fell in any.
for (const { epochs } of view.manifest.data) {
  for (const epoch of epochs) epoch.dropped = epoch.learning_rate_out < Number(epoch.learning_rate_in);
}

/** @type {<K extends keyof PageElements>(id: K) => PageElements[K]} */
const $ = (id) => /** @type {any} */ (document.getElementById(id));

// What fits a selector around the place of an event, or null.
/** @type {(event: Event, selector: string) => HTMLElement | null} */
const closest = (event, selector) => /** @type {HTMLElement} */ (event.target).closest(selector);
