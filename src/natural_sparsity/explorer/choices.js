// @ts-check
"use strict";
// The lists at the top, and what is said below them.

const choices = (() => {
  /** @type {<T>(values: T[]) => T[]} */
  const unique = (values) => [...new Set(values)];

  // Fills a list with [value, label] entries; returns the value that is then chosen.
  /** @type {(select: HTMLSelectElement, entries: (string | number)[][], value: string | number) => string} */
  function fill(select, entries, value) {
    select.replaceChildren(...entries.map(([key, label]) => new Option(String(label), String(key))));
    const values = entries.map(([key]) => String(key));
    select.value = values.includes(String(value)) ? String(value) : values[0];
    select.disabled = entries.length < 2;
    return select.value;
  }

  // Fills the lists, each with what the ones before it leave to choose.
  function settle() {
    const { state, manifest } = view;
    const runs = new Map(manifest.data.map((d) => [view.runOf(d), `${d.data} · ${d.model}`]));
    state.run = fill($("run"), [...runs], state.run);
    const ofRun = manifest.data.filter((d) => view.runOf(d) === state.run);
    const seeds = unique(ofRun.map((d) => d.seed)), all = seeds.length > 1 ? [[view.ALL, "all: mean and spread"]] : [];
    state.seed = fill($("seed"), [...seeds.map((seed) => [seed, seed]), ...all], state.seed);
    const ofSeed = ofRun.filter((d) => state.seed === view.ALL || String(d.seed) === state.seed);
    state.condition = fill($("condition"), unique(ofSeed.map((d) => d.condition)).map((name) => [name, name]), state.condition);
    const others = [...runs].filter(([name]) => name !== state.run);
    state.other = fill($("other"), [["", "nothing"], ...others], state.other);
    const entry = view.entry();
    state.measure = fill($("measure"), Object.keys(entry.series).map((m) => [m, manifest.measures[m][0]]), state.measure);
    const tensors = view.tensors(entry, state);
    const top = `grad_${tensors.filter((t) => t.startsWith("h_")).at(-1)}`; // figure 5's
    const first = tensors.includes(top) ? top : tensors[0];
    if (!tensors.includes(state.tensor)) state.tensor = first;
    fill($("tensor"), tensors.map((t) => [t, manifest.tensors[t][0]]), state.tensor);
    state.panels = state.panels.filter((t) => tensors.includes(t));
    if (!state.panels.length) state.panels = [first];
    const legend = /** @type {Element} */ ($("panels").firstElementChild);
    $("panels").replaceChildren(legend, ...tensors.map((tensor) => {
      const label = document.createElement("label"), box = document.createElement("input");
      box.type = "checkbox"; box.value = tensor; box.checked = state.panels.includes(tensor);
      label.append(box, ` ${manifest.tensors[tensor][0]}`);
      return label;
    }));
    for (const input of $("role").querySelectorAll("input")) input.checked = input.value === state.role;
  }

  function drawAbout() {
    const { data, condition, probe, positions } = view.shown.entry;
    const settings = Object.entries(probe).map(([key, value]) => `${key} ${value}`).join(", ");
    $("about").textContent = `Condition ${condition}: ${settings}; ${text.number(positions)} positions per epoch. `
      + `Data ${data}: ${text.number(view.words.word.length - view.manifest.specials)} ${text.inUnits("words")}.`;
    for (const element of document.querySelectorAll(".unit")) element.textContent = text.inUnits(element.textContent);
    for (const element of document.querySelectorAll(".unit-label")) element.ariaLabel = text.inUnits(String(element.ariaLabel));
    const { other } = view.shown;
    $("other-help").hidden = !other;
    $("other-help").textContent = other ? `Pale, open marks: ${other.entry.data} · ${other.entry.model}. No line: it lacks the word or the measure.` : "";
    /** @type {HTMLElement} */ ($("colour").parentElement).hidden = view.words.unit === "character"; // which have no part of speech
  }

  function listen() {
    const { state } = view;
    for (const key of /** @type {const} */ (["run", "other", "seed", "condition", "measure", "tensor"])) {
      $(key).onchange = () => { state[key] = $(key).value; epochs.play(false); main.update(); };
    }
    $("role").onchange = (event) => {
      state.role = /** @type {HTMLInputElement & { value: Role }} */ (event.target).value;
      main.update();
    };
    $("panels").onchange = () => {
      const boxes = [...$("panels").querySelectorAll("input")];
      const before = state.panels;
      state.panels = boxes.filter((box) => box.checked).map((box) => box.value);
      if (!state.panels.length) state.panels = before;
      const focused = /** @type {HTMLInputElement} */ (document.activeElement).value;
      main.update().then(() => {
        /** @type {HTMLElement | null} */ ($("panels").querySelector(`[value="${focused}"]`))?.focus();
      });
    };
    $("log").checked = state.log;
    $("log").onchange = () => { state.log = $("log").checked; main.redraw(); };
    $("choices").onsubmit = (event) => event.preventDefault();
  }

  return { fill, settle, drawAbout, listen };
})();
