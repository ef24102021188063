// @ts-check
"use strict";
// Numbers and names as text. Words are text nodes or escaped: none is ever taken for markup.

const text = {
  /** @type {(value: number) => string} */
  number: (value) => value.toLocaleString("en-GB").replaceAll(",", "\u202f"),
  /** @type {(value: number) => string} */
  short: (value) => (Number.isNaN(value) ? "undefined" : Number(value.toPrecision(4)).toString()),
  /** @type {(string: string) => string} */
  escape: (string) => string.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;"),

  // A word, cut where it would not fit next to its point.
  /** @type {(id: number) => string} */
  label(id) {
    const word = view.words.word[id];
    return word.length > 16 ? `${word.slice(0, 15)}…` : word;
  },

  // The measure shown, of a tensor.
  /** @type {(tensor: string) => string} */
  measure(tensor) {
    const { manifest, shown } = view;
    return manifest.measures[shown.measure][1].replace("{}", manifest.tensors[tensor][1]);
  },

  // The same with "mean", if it is one over positions: the static gradient of a word is one vector.
  /** @param {string} tensor @returns {string} */
  mean: (tensor) => (tensor === "static" ? text.measure(tensor) : `mean ${text.measure(tensor)}`),

  // The spread over seeds of a mean over them.
  /** @param {Series} data @param {number} id @param {number} epoch @returns {string} */
  spread: ({ spread }, id, epoch) => (spread ? `± ${text.short(spread[epoch * view.words.word.length + id])} over seeds ` : ""),

  // When: before any training, or after an epoch.
  /** @type {(checkpoint: Checkpoint) => string} */
  when: ({ epoch, steps }) => (epoch ? `after epoch ${epoch}` : steps ? `after step ${steps} in epoch 1` : "before training"),

  // A text that says word, said of what the data's tokens are.
  /** @type {(string: string) => string} */
  inUnits(string) {
    const { unit } = view.words;
    return string.replace(/(word|character)/, unit)
      .replace(/(Word|Character)/, unit[0].toUpperCase() + unit.slice(1));
  },

  // What is known of a word at an epoch, line by line.
  /** @type {(id: number, data: Series, tensor: string, epoch: number) => string[]} */
  describe(id, data, tensor, epoch) {
    const { words, shown } = view;
    return [
      words.word[id],
      `${text.measure(tensor)} = ${text.short(view.at(data, id, epoch))} ${text.spread(data, id, epoch)}${text.when(shown.entry.epochs[epoch])}`,
      tensor === "static" ? "from weights and frequencies, at no position"
        : `mean over ${text.number(view.countAt(data, id, epoch))} positions as ${shown.role}`,
      `${text.number(words.count[id])} occurrences in training`,
      ...(words.unit === "character" ? [] : [
        [words.pos[id] || "no majority part of speech", words.pos_class[id] ? `${words.pos_class[id]} class` : ""].filter(Boolean).join(", "),
      ]),
    ];
  },
};
