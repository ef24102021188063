// @ts-check
"use strict";
// The plot against frequency, its legend, and the correlation below it.

const scatter = (() => {
  const MARGIN = { l: 64, r: 14, t: 8, b: 48 };
  /** @type {[string, string][]} */
  const SETS = [
    ["all", "all"], ["matched", "frequency-matched ranges"], ["paired", "frequency-matched pairs"],
    ["frequent", "the more frequent half"], ["rare", "the rarer half"],
  ];
  const webgl = (() => {
    const canvas = document.createElement("canvas");
    return Boolean(canvas.getContext("webgl2") || canvas.getContext("webgl"));
  })();

  /** @type {(id: number) => number} */
  const value = (id) => view.at(view.shown.scatter, id);

  // The ids of the points, by group.
  /** @type {() => number[][]} */
  function groupPoints() {
    const { state, words, manifest } = view, groups = style.GROUPS[state.colour];
    /** @type {number[][]} */
    const points = groups.map(() => []);
    const index = new Map(groups.map(([name], i) => [name, i]));
    for (let id = manifest.specials; id < words.word.length; id++) {
      const name = style.groupOf(id);
      if (view.isShown(id) && !state.hidden.has(name) && !Number.isNaN(value(id))) {
        points[Number(index.get(name))].push(id);
      }
    }
    return points;
  }

  // The vertical range: over all epochs, so that the axis keeps still.
  /** @type {() => [number, number]} */
  function findRange() {
    const { state, words, shown, manifest } = view;
    const { values, extents } = shown.scatter, key = `${state.least} ${state.set} ${state.log}`, width = words.word.length;
    if (!extents.has(key)) {
      let low = Infinity, high = -Infinity;
      for (let id = manifest.specials; id < width; id++) {
        if (!view.isShown(id)) continue;
        for (let i = id; i < values.length; i += width) {
          const height = state.log ? Math.log10(values[i]) : values[i];
          if (height < low && height > -Infinity) low = height;
          if (height > high) high = height;
        }
      }
      const room = 0.04 * (high - low || Math.abs(high) || 1);
      extents.set(key, high >= low ? [low - room, high + room] : [0, 1]);
    }
    return /** @type {[number, number]} */ (extents.get(key));
  }

  // Where each label goes around its point: the first place that lies on no label or other point followed.
  /** @type {(followed: number[], xRange: number[], yRange: number[]) => string[]} */
  function placeLabels(followed, xRange, yRange) {
    const { state, words } = view;
    const box = $("scatter").getBoundingClientRect();
    const across = (box.width - MARGIN.l - MARGIN.r) / (xRange[1] - xRange[0]);
    const down = (box.height - MARGIN.t - MARGIN.b) / (yRange[1] - yRange[0]);
    const points = followed.map((id) => [
      (Math.log10(words.count[id]) - xRange[0]) * across,
      (yRange[1] - (state.log ? Math.log10(value(id)) : value(id))) * down,
    ]);
    const taken = points.map(([x, y]) => [x - 8, y - 8, x + 8, y + 8]);
    return points.map(([x, y], i) => {
      const wide = 7.5 * text.label(followed[i]).length, own = taken[i];
      /** @type {Record<string, [left: number, top: number, right: number, bottom: number]>} */
      const boxes = {
        "top center": [x - wide / 2, y - 26, x + wide / 2, y - 9], "middle left": [x - wide - 9, y - 8, x - 9, y + 8],
        "bottom center": [x - wide / 2, y + 9, x + wide / 2, y + 26], "middle right": [x + 9, y - 8, x + wide + 9, y + 8],
      };
      /** @type {(box: number[]) => boolean} */
      const free = ([left, top, right, bottom]) => left > -MARGIN.l && right < box.width - MARGIN.l && top > -MARGIN.t
        && taken.every((t) => t === own || left > t[2] || right < t[0] || top > t[3] || bottom < t[1]);
      const place = Object.keys(boxes).find((name) => free(boxes[name])) || "middle left";
      taken.push(boxes[place]);
      return place;
    });
  }

  function draw() {
    const { state, words, shown } = view;
    view.drawn = groupPoints();
    const total = view.drawn.reduce((sum, ids) => sum + ids.length, 0);
    const crowd = Math.min(20, Math.max(1, total / 300)); // the more words, the smaller and fainter
    /** @type {PlotOptions[]} */
    const traces = style.GROUPS[state.colour].map(([name, , hue, , symbol], i) => ({
      type: webgl ? "scattergl" : "scatter", mode: "markers", hoverinfo: "none",
      x: Float64Array.from(view.drawn[i], (id) => words.count[id]), y: Float32Array.from(view.drawn[i], value),
      marker: {
        color: style.colour(hue), symbol, line: { width: 0 },
        size: name ? Math.max(4.5, 8 / crowd ** 0.2) : 3.5, opacity: name ? 0.85 / crowd ** 0.12 : 0.45,
      },
    }));
    const followed = state.followed.map((word) => Number(words.ids.get(word))).filter(
      (id) => view.isShown(id) && !Number.isNaN(value(id)));
    view.drawn.push(followed);
    const [fewest, most] = [Math.max(state.least, words.fewest), words.most].map(Math.log10);
    const xRange = [fewest - 0.08, most + 0.12], yRange = findRange();
    traces.push({
      type: "scatter", mode: "markers+text", hoverinfo: "none", cliponaxis: false,
      x: followed.map((id) => words.count[id]), y: followed.map(value),
      text: followed.map((id) => text.escape(text.label(id))), textposition: placeLabels(followed, xRange, yRange),
      textfont: { color: style.colour("ink"), size: 13 },
      marker: { symbol: "circle-open", size: 12, color: style.colour("ink"), line: { width: 1.5 } },
    });
    const cursor = state.cursor !== null && !Number.isNaN(value(state.cursor)) ? [state.cursor] : [];
    view.drawn.push(cursor);
    traces.push({
      type: "scatter", mode: "markers", hoverinfo: "skip",
      x: cursor.map((id) => words.count[id]), y: cursor.map(value),
      marker: { symbol: "circle-open", size: 18, color: style.colour("ink"), line: { width: 2 } },
    });
    const { axis, layout } = style.look();
    const decades = Array.from({ length: 10 }, (_, i) => 10 ** i);
    const zoom = [shown.entry.data, shown.role, shown.tensor, shown.measure, state.log, state.least, state.set].join();
    Plotly.react($("scatter"), traces, {
      ...layout, uirevision: zoom, margin: MARGIN,
      xaxis: {
        ...axis, type: "log", range: xRange, tickvals: decades, ticktext: decades.map(text.number), uirevision: zoom,
        title: { text: "occurrences in the training split", standoff: 8 },
      },
      yaxis: {
        ...axis, type: state.log ? "log" : "linear", range: yRange, uirevision: zoom,
        title: { text: text.mean(shown.tensor), standoff: 8 },
      },
    }, style.CONFIG);
    summarise(points());
  }

  // The ids of all words drawn; followed words and the cursor, which are drawn again, count once.
  /** @type {() => number[]} */
  const points = () => view.drawn.slice(0, -2).flat();

  // The least counts that can be asked of a word: 1, 2, 5, 10 …, from the corpus's rarest word on, while words are left.
  /** @type {() => number[]} */
  function listCounts() {
    const { fewest, most } = view.words, counts = [1];
    for (let decade = 1; decade <= most; decade *= 10) {
      counts.push(...[1, 2, 5].map((n) => n * decade).filter((n) => n > fewest && n < most));
    }
    return counts;
  }

  // Pearson's correlation of the measure with frequency over the words shown, as figure 3 has it over all words.
  /** @type {(ids: number[], count: (id: number) => number, height: (id: number) => number) => string} */
  function correlate(ids, count, height) {
    /** @type {(of: (id: number) => number) => number} */
    const mean = (of) => ids.reduce((sum, id) => sum + of(id), 0) / ids.length;
    const [mx, my] = [mean(count), mean(height)];
    const xy = mean((id) => (count(id) - mx) * (height(id) - my));
    const r = xy / Math.sqrt(mean((id) => (count(id) - mx) ** 2) * mean((id) => (height(id) - my) ** 2));
    return Number.isFinite(r) ? r.toFixed(3).replace("-", "−") : "undefined";
  }

  // The same of the run that the chosen one is compared with, at the same time of training.
  /** @type {(arrow: string) => void} */
  function summariseOther(arrow) {
    const { shown: { other, entry }, state, manifest } = view, line = $("other-summary");
    line.hidden = !other;
    if (!other) return;
    const name = `${other.entry.data} · ${other.entry.model}, ${other.entry.seed === view.ALL ? "all seeds" : `seed ${other.entry.seed}`}`;
    const place = view.placeAt(other.entry.epochs, entry.epochs[state.epoch].time);
    if (!other.scatter || place < 0) {
      line.textContent = `${name} was not measured here`;
      return;
    }
    const { words, scatter: { values } } = other;
    /** @type {(id: number) => number} */
    const height = (id) => values[place * words.word.length + id];
    const ids = words.word.map((_, id) => id).filter((id) => id >= manifest.specials && view.isShown(id, words)
      && !state.hidden.has(style.groupOf(id, words)) && !Number.isNaN(height(id)));
    line.textContent = `${name}: ${arrow} = ${correlate(ids, (id) => words.count[id], height)}, over ${text.number(ids.length)} ${text.inUnits("words")}`;
  }

  /** @type {(ids: number[]) => void} */
  function summarise(ids) {
    const { words, shown } = view;
    const arrow = shown.role === "target" ? "ρ←" : "ρ→";
    const rounded = correlate(ids, (id) => words.count[id], value);
    summariseOther(arrow);
    $("summary").textContent = `${arrow} = ${rounded}: Pearson’s correlation of ${text.measure(shown.tensor)} with frequency, `
      + `over the ${text.number(ids.length)} ${text.inUnits("words")} shown`;
  }

  function drawLegend() {
    const { state, words, manifest } = view, sizes = new Map();
    const sets = SETS.filter(([name]) => name === "all" || Object.hasOwn(words.sets, name));
    state.set = choices.fill($("set"), sets, state.set);
    state.least = Number(choices.fill($("least"), listCounts().map((n) => [n, text.number(n)]), state.least));
    for (let id = manifest.specials; id < words.word.length; id++) {
      if (view.isShown(id)) sizes.set(style.groupOf(id), (sizes.get(style.groupOf(id)) || 0) + 1);
    }
    const groups = style.GROUPS[state.colour].filter(([name]) => sizes.has(name));
    $("legend").replaceChildren(...groups.map(([name, label, hue, glyph]) => {
      const button = document.createElement("button"), mark = document.createElement("span");
      button.type = "button";
      button.dataset.group = name;
      button.setAttribute("aria-pressed", String(!state.hidden.has(name)));
      mark.className = "glyph";
      mark.style.color = `var(--${hue})`;
      mark.textContent = glyph;
      mark.setAttribute("aria-hidden", "true");
      button.append(mark, ` ${label} (${text.number(sizes.get(name))})`);
      return button;
    }));
  }

  // Moves the cursor by so many words in the order of frequency.
  /** @type {(step: number) => void} */
  function walk(step) {
    const { state, words, shown } = view;
    const ids = points().sort((a, b) => words.count[a] - words.count[b] || b - a);
    if (!ids.length) return;
    const from = ids.indexOf(state.cursor ?? -1);
    const id = ids[from < 0 ? ids.length - 1 : Math.max(0, Math.min(ids.length - 1, from + step))];
    state.cursor = id;
    draw();
    const lines = text.describe(id, shown.scatter, shown.tensor, state.epoch);
    const box = $("scatter").getBoundingClientRect(), { xaxis, yaxis } = $("scatter")._fullLayout;
    tip.show(lines, box.left + xaxis._offset + xaxis.d2p(words.count[id]),
      box.top + yaxis._offset + yaxis.d2p(value(id)));
    $("spoken").textContent = lines.join(", ");
  }

  function listen() {
    const { state } = view;
    $("colour").value = state.colour;
    $("colour").onchange = () => { state.colour = /** @type {State["colour"]} */ ($("colour").value); state.hidden.clear(); drawLegend(); main.redraw(); };
    $("set").onchange = () => { state.set = $("set").value; drawLegend(); main.redraw(); };
    $("least").onchange = () => { state.least = Number($("least").value); drawLegend(); main.redraw(); };
    $("legend").onclick = (event) => {
      const button = closest(event, "button");
      if (!button) return;
      const name = String(button.dataset.group);
      if (!state.hidden.delete(name)) state.hidden.add(name);
      button.setAttribute("aria-pressed", String(!state.hidden.has(name)));
      main.redraw();
    };
    $("scatter").onkeydown = (event) => {
      if (event.key === "ArrowRight" || event.key === "ArrowLeft") {
        event.preventDefault();
        walk((event.key === "ArrowRight" ? 1 : -1) * (event.shiftKey ? 50 : 1));
      } else if (event.key === "Enter" && state.cursor !== null) main.follow(view.words.word[state.cursor]);
      else if (event.key === "Escape") { state.cursor = null; tip.hide(); draw(); }
    };
    $("scatter").onblur = tip.hide;
  }

  // Plotly's own events exist once a plot does.
  function listenToPlot() {
    /** @type {(point: PlotEvent["points"][number]) => number} */
    const idOf = (point) => view.drawn[point.curveNumber][point.pointNumber];
    $("scatter").on("plotly_hover", (event) => {
      const { shown, state } = view;
      tip.show(text.describe(idOf(event.points[0]), shown.scatter, shown.tensor, state.epoch), ...tip.place(event));
    });
    $("scatter").on("plotly_click", (event) => main.follow(view.words.word[idOf(event.points[0])]));
    $("scatter").on("plotly_unhover", tip.hide);
  }

  return { draw, drawLegend, listen, listenToPlot };
})();
