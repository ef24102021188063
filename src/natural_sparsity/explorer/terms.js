// @ts-check
"use strict";
// What the symbols mean: of the measure, tensor and role shown, in the panel below the choices.

const terms = (() => {
  /** @type {Record<string, string>} */
  const MEASURES = {
    chi: "χ(v) = ‖v‖₂ / ‖v‖₁: how concentrated a vector is. It is 1 if one component holds everything, and 1/√d if all d are equal.",
    hoyer: "Hoyer’s measure: χ rescaled, so that it is 0 if all components are equal and 1 if one holds everything.",
    gini: "The Gini index of the components’ magnitudes: 0 if all are equal, near 1 if few hold almost everything.",
    kurtosis: "κ₄: the fourth moment of the components over the square of the second. Larger means more concentrated.",
    l0: "ε-ℓ0: the share of components below ε times the largest. Larger means sparser.",
    l1: "‖v‖₁: the sum of the components’ magnitudes. It is a size, not a sparsity.",
    l2: "‖v‖₂: the vector’s length. It is a size, not a sparsity.",
    surprisal: "Surprisal: −ln p of the word that came, in nats. It is the loss at a position, and belongs to no tensor.",
  };

  // What a tensor is.
  /** @type {(tensor: string) => string} */
  function describeTensor(tensor) {
    if (tensor === "static") return "Static gradient: p̄W − W[w], from output weights and word frequencies alone.";
    const name = view.manifest.tensors[tensor][1];
    if (tensor.startsWith("grad_")) {
      const at = view.manifest.tensors[tensor.slice(5)]?.[1] ?? tensor.slice(5);
      return tensor === "grad_x" ? `${name}: the gradient of the loss at the logits, before the softmax.`
        : `${name}: the gradient of the loss with respect to ${at}, at the same position.`;
    }
    if (tensor === "h_e") return `${name}: the output of the embedding.`;
    if (tensor === "x") return `${name}: the output of the softmax, a probability for each word.`;
    return `${name}: the output of recurrent layer ${tensor.slice(2)}.`;
  }

  function draw() {
    const { shown } = view, { measure, role } = shown;
    const arrow = role === "target" ? "ρ←" : "ρ→";
    const lines = [
      ...(Object.hasOwn(MEASURES, measure) ? [MEASURES[measure]] : []),
      ...(measure === "surprisal" ? [] : [...new Set([shown.tensor, ...shown.panels])].map(describeTensor)),
      `${arrow}: Pearson’s correlation, over words, of a word’s mean with its count in training. `
        + (role === "target" ? "← averages where the word is the target, the one to predict."
          : "→ averages where the word is the input, the one just read."),
      "Epoch 0 is the untrained model. A fraction is a checkpoint inside the first epoch.",
      ...(shown.entry.seed === view.ALL
        ? ["All seeds: lines and points are means over seeds, bands are one sample standard deviation."] : []),
      ...(view.words.unit === "character" ? [] : [
        "Part of speech: what more than half of a word’s tagged occurrences are. Nouns, proper nouns, verbs, adjectives, adverbs and "
          + "interjections are open classes; function words such as determiners, pronouns and prepositions are closed ones.",
        "Frequency-matched: open-class and closed-class words that are about equally frequent, chosen as two ranges or in pairs.",
      ]),
    ];
    $("meanings").replaceChildren(...lines.map((line) => {
      const item = document.createElement("li");
      item.textContent = text.inUnits(line);
      return item;
    }));
  }

  return { draw };
})();
