// @ts-check
"use strict";
// Means over the seeds of a run, and their spread.

const averaging = (() => {
  /** @type {(numbers: number[]) => number} */
  const mean = (numbers) => numbers.reduce((sum, x) => sum + x, 0) / numbers.length;

  // A mean where every seed has a number, else null.
  /** @type {(states: Checkpoint[], key: "train_loss" | "dev_loss") => number | null} */
  const meanOf = (states, key) => (states.some((s) => s[key] === null) ? null : mean(states.map((s) => Number(s[key]))));

  // One entry for those of several seeds, at the checkpoints that all of them have; undefined for none.
  /** @type {(members: Entry[]) => Entry | undefined} */
  function joinEntries(members) {
    if (members.length < 2) return members[0];
    const [first, ...rest] = members;
    const shared = first.epochs.filter(
      (e) => rest.every((m) => m.epochs.some((other) => other.checkpoint === e.checkpoint)));
    const epochs = shared.map((epoch) => {
      const states = members.map((m) => /** @type {Checkpoint} */ (
        m.epochs.find((other) => other.checkpoint === epoch.checkpoint)));
      const rates = [...new Set(states.map((s) => s.learning_rate_in))];
      return {
        ...epoch, train_loss: meanOf(states, "train_loss"), dev_loss: meanOf(states, "dev_loss"),
        learning_rate_in: rates.length === 1 ? rates[0] : null, dropped: states.some((s) => s.dropped),
      };
    });
    const key = `${view.runOf(first)}/${view.ALL}/${first.condition}`;
    return { ...first, seed: view.ALL, key, members, epochs, positions: Math.round(mean(members.map((m) => m.positions))) };
  }

  // The mean over seeds and one sample standard deviation, where all seeds have a value; positions are added up.
  /** @type {(entry: Entry, parts: Series[]) => Series} */
  function joinSeries(entry, parts) {
    const { epochs, members = [], words: width } = entry, size = epochs.length * width;
    const values = new Float32Array(size), spread = new Float32Array(size), n = new Uint32Array(size);
    epochs.forEach(({ checkpoint }, e) => {
      const places = members.map((m) => m.epochs.findIndex((other) => other.checkpoint === checkpoint));
      for (let id = 0; id < width; id++) {
        const i = e * width + id;
        /** @type {(p: number) => number} */
        const at = (p) => places[p] * width + id; // of a seed
        const each = parts.map((part, p) => part.values[at(p)]), centre = mean(each);
        values[i] = centre;
        spread[i] = Math.sqrt(each.reduce((sum, x) => sum + (x - centre) ** 2, 0) / (each.length - 1));
        n[i] = parts.reduce((sum, part, p) => sum + part.n[at(p)], 0);
      }
    });
    return { values, n, spread, extents: new Map() };
  }

  return { joinEntries, joinSeries };
})();
