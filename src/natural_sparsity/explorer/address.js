// @ts-check
"use strict";
// The address keeps the choice, so that a view can be bookmarked or sent.

const address = (() => {
  /** @type {(keyof State)[]} */
  const KEYS = ["run", "other", "seed", "condition", "measure", "role", "tensor", "colour", "least", "set"];
  let waiting = 0; // browsers allow few changes of the address a second

  function remember() {
    clearTimeout(waiting);
    waiting = setTimeout(write, 300);
  }

  function write() {
    const { state, shown } = view;
    const kept = new URLSearchParams(KEYS.map((key) => [key, String(state[key])]));
    kept.set("epoch", String(shown.entry.epochs[state.epoch].time));
    kept.set("panels", state.panels.join(" "));
    kept.set("log", String(Number(state.log)));
    kept.set("words", state.followed.join(" "));
    history.replaceState(null, "", `#${kept}`);
  }

  function recall() {
    const { state } = view, kept = new URLSearchParams(location.hash.slice(1));
    Object.assign(state, Object.fromEntries(KEYS.filter((key) => kept.has(key)).map((key) => [key, kept.get(key)])));
    state.least = Number(state.least) || 1;
    if (!Object.hasOwn(style.GROUPS, state.colour)) state.colour = "class";
    if (state.role !== "input") state.role = "target";
    state.log = kept.get("log") === "1";
    state.panels = (kept.get("panels") || "").split(" ").filter(Boolean);
    state.followed = (kept.get("words") || "").split(" ").filter(Boolean).slice(0, style.MOST_FOLLOWED);
    choices.settle();
    const every = view.entry().epochs.map((e) => e.time);
    state.epoch = kept.has("epoch") ? Math.max(0, every.indexOf(Number(kept.get("epoch")))) : every.length - 1;
  }

  return { remember, recall };
})();
