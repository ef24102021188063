"use strict";
// The explorer's page: state, loading, two plots, controls. Data are scripts that call explorer.receive….
// Words are text nodes or escaped: none is ever taken for markup.

const explorer = (() => {
  const manifest = JSON.parse(document.getElementById("manifest").textContent);
  const encoded = (path) => path.split("/").map(encodeURIComponent).join("/");
  const $ = (id) => document.getElementById(id);
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  // Shape tells what colour tells: [name in the data, label, colour, glyph of the legend, plotly's symbol], drawn in turn.
  const GROUPS = {
    class: [["", "neither", "grey", "•", "circle"], ["open", "open", "blue", "●", "circle"], ["closed", "closed", "red", "■", "square"]],
    pos: [
      ["", "no majority, or other", "grey", "•", "circle"],
      ["NOUN", "noun", "blue", "●", "circle"], ["PROPN", "proper noun", "sky", "●", "circle"],
      ["VERB", "verb", "green", "●", "circle"], ["ADJ", "adjective", "purple", "●", "circle"],
      ["ADV", "adverb", "orange", "●", "circle"], ["INTJ", "interjection", "black", "●", "circle"],
      ["ADP", "adposition", "red", "◆", "diamond"], ["AUX", "auxiliary", "orange", "▼", "triangle-down"],
      ["CCONJ", "coordinating conj.", "purple", "✚", "cross"], ["DET", "determiner", "blue", "■", "square"],
      ["PART", "particle", "black", "★", "star"], ["PRON", "pronoun", "green", "▲", "triangle-up"],
      ["SCONJ", "subordinating conj.", "sky", "✖", "x"],
    ],
  };
  const LINES = ["blue", "red", "green", "purple", "orange", "sky", "black"];
  const DASHES = ["solid", "dash", "dot"];
  const MOST_FOLLOWED = LINES.length * DASHES.length;
  const FRAME_MS = 350; // an epoch while playing
  const KEPT = 24; // decoded series held in memory

  const state = {
    run: "", seed: "", condition: "", measure: "", role: "target", tensor: "", panels: [], epoch: 0,
    colour: "class", least: 1, log: false, hidden: new Set(), followed: [], cursor: null,
  };
  // What is loaded, and so drawn and described; the state may be ahead of it. scatter and each of series: {values, n, …}.
  let shown = null; // {entry, corpus, measure, role, tensor, panels, scatter, series}
  let words = null; // of the corpus: {unit, word, count, pos, pos_class}, arrays by id; ids: word → id
  let drawn = []; // for each trace of the scatter, the ids of its points
  let playing = null;

  // ---- loading: each file is a script, since a page opened from a folder may read nothing else

  const waiting = new Map();
  const cache = new Map();
  const corpora = new Map();

  function load(src) {
    return new Promise((resolve, reject) => {
      const element = document.createElement("script");
      element.src = src;
      element.onload = () => { element.remove(); resolve(); };
      element.onerror = () => { element.remove(); reject(new Error(`${src} cannot be read; keep the folder whole`)); };
      document.head.append(element);
    });
  }

  function receive(key, packed) { waiting.set(key, packed); }

  function receiveWords(corpus, columns) {
    const counts = columns.count.slice(manifest.specials).filter((count) => count > 0).sort((a, b) => a - b);
    const ids = new Map(columns.word.map((word, id) => [word, id]));
    corpora.set(corpus, { ...columns, ids, fewest: counts[0] ?? 1, most: counts.at(-1) ?? 1 });
  }

  async function wordsOf(corpus) {
    if (!corpora.has(corpus)) await load(`words/${encoded(corpus)}.js`);
    return corpora.get(corpus);
  }

  async function seriesOf(entry, tensor) {
    const name = `${state.measure}.${state.role}.${tensor}`;
    const key = `${entry.run}/${entry.condition}/${name}`;
    if (!cache.has(key)) {
      cache.set(key, load(encoded(`${entry.folder}/${name}.js`)).then(() => {
        const packed = waiting.get(key);
        waiting.delete(key);
        return decode(packed, entry.epochs.length, entry.words);
      }));
      cache.get(key).catch(() => cache.delete(key));
      if (cache.size > KEPT) cache.delete(cache.keys().next().value);
    }
    return cache.get(key);
  }

  // Undoes data.py: base64, deflate, byte planes, differences from epoch to epoch.
  async function decode(packed, epochs, width) {
    const raw = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
    const inflated = new Blob([raw]).stream().pipeThrough(new DecompressionStream("deflate"));
    const bytes = new Uint8Array(await new Response(inflated).arrayBuffer());
    const size = epochs * width;
    const bits = new Uint32Array(size), n = new Uint32Array(size);
    for (let i = 0; i < size; i++) {
      const before = i >= width ? bits[i - width] >>> 8 : 0;
      bits[i] = (before + bytes[i] + (bytes[size + i] << 8) + (bytes[2 * size + i] << 16)) << 8;
      const of = 3 * size + i;
      n[i] = bytes[of] + (bytes[of + size] << 8) + (bytes[of + 2 * size] << 16) + (bytes[of + 3 * size] << 24);
      if (i >= width) n[i] += n[i - width];
    }
    const values = new Float32Array(bits.buffer);
    return { values, n, extents: new Map() };
  }

  // ---- what is chosen

  const dataOf = () => manifest.data.find(
    (d) => d.run === `${state.run}/seed${state.seed}` && d.condition === state.condition);
  const written = (tensor) => manifest.measures[shown.measure][1].replace("{}", manifest.tensors[tensor]);
  const unique = (values) => [...new Set(values)];
  const number = (value) => value.toLocaleString("en-GB").replaceAll(",", "\u202f");
  const short = (value) => Number.isNaN(value) ? "undefined" : Number(value.toPrecision(4)).toString();
  const group = (id) => {
    const of = state.colour === "class" ? words.pos_class[id] : words.pos[id];
    return GROUPS[state.colour].some(([name]) => name === of) ? of : "";
  };

  function options(select, entries, value) {
    select.replaceChildren(...entries.map(([of, label]) => new Option(label, of)));
    const values = entries.map(([of]) => String(of));
    select.value = values.includes(String(value)) ? value : values[0];
    select.disabled = entries.length < 2;
    return select.value;
  }

  // Fills the lists, each with what the ones before it leave to choose.
  function settle() {
    const data = manifest.data.map((d) => {
      const [, run, seed] = d.run.match(/^(.*)\/seed(\d+)$/);
      return { ...d, of: run, seed };
    });
    state.run = options($("run"), unique(data.map((d) => d.of)).map((run) => [run, run.replace("/", " · ")]), state.run);
    const ofRun = data.filter((d) => d.of === state.run);
    state.seed = options($("seed"), unique(ofRun.map((d) => d.seed)).map((seed) => [seed, seed]), state.seed);
    const ofSeed = ofRun.filter((d) => d.seed === state.seed);
    state.condition = options($("condition"), ofSeed.map((d) => [d.condition, d.condition]), state.condition);
    const entry = dataOf();
    state.measure = options($("measure"), entry.measures.map((m) => [m, manifest.measures[m][0]]), state.measure);
    const last = `grad_${entry.tensors.filter((t) => t.startsWith("h_")).at(-1)}`; // ∇h², figure 5's
    if (!entry.tensors.includes(state.tensor)) state.tensor = last;
    options($("tensor"), entry.tensors.map((t) => [t, manifest.tensors[t]]), state.tensor);
    state.panels = state.panels.filter((t) => entry.tensors.includes(t));
    if (!state.panels.length) state.panels = [last];
    $("panels").replaceChildren($("panels").firstElementChild, ...entry.tensors.map((tensor) => {
      const label = document.createElement("label"), box = document.createElement("input");
      box.type = "checkbox"; box.value = tensor; box.checked = state.panels.includes(tensor);
      label.append(box, ` ${manifest.tensors[tensor]}`);
      return label;
    }));
    for (const input of $("role").querySelectorAll("input")) input.checked = input.value === state.role;
  }

  // ---- drawing

  const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const webgl = (() => {
    const canvas = document.createElement("canvas");
    return Boolean(canvas.getContext("webgl2") || canvas.getContext("webgl"));
  })();

  function look() {
    const line = colour("line");
    return {
      axis: {
        gridcolor: colour("grid"), linecolor: line, tickcolor: line, ticks: "outside", showline: true, zeroline: false,
        exponentformat: "power",
      },
      layout: {
        paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false, hovermode: "closest",
        font: { family: getComputedStyle(document.body).fontFamily, size: 12.5, color: colour("soft") },
      },
    };
  }
  const MARGIN = { l: 64, r: 14, t: 8, b: 48 };
  const CONFIG = { displayModeBar: false, responsive: true, doubleClick: "reset", typesetMath: false };

  function at(data, id, epoch = state.epoch) { return data.values[epoch * words.word.length + id]; }

  function pointsNow() {
    const groups = GROUPS[state.colour].map(() => []);
    const index = new Map(GROUPS[state.colour].map(([name], i) => [name, i]));
    for (let id = manifest.specials; id < words.word.length; id++) {
      const name = group(id);
      if (words.count[id] >= state.least && !state.hidden.has(name) && !Number.isNaN(at(shown.scatter, id))) {
        groups[index.get(name)].push(id);
      }
    }
    return groups;
  }

  // The vertical range: over all epochs, so that the axis keeps still.
  function range() {
    const { values, extents } = shown.scatter, key = `${state.least} ${state.log}`, width = words.word.length;
    if (!extents.has(key)) {
      let low = Infinity, high = -Infinity;
      for (let id = manifest.specials; id < width; id++) {
        if (words.count[id] < state.least) continue;
        for (let i = id; i < values.length; i += width) {
          const value = state.log ? Math.log10(values[i]) : values[i];
          if (value < low && value > -Infinity) low = value;
          if (value > high) high = value;
        }
      }
      const room = 0.04 * (high - low || Math.abs(high) || 1);
      extents.set(key, high >= low ? [low - room, high + room] : [0, 1]);
    }
    return extents.get(key);
  }

  // Where each label goes around its point: the first place that lies on no label or other point followed.
  function places(followed, xRange, yRange) {
    const box = $("scatter").getBoundingClientRect();
    const across = (box.width - MARGIN.l - MARGIN.r) / (xRange[1] - xRange[0]);
    const down = (box.height - MARGIN.t - MARGIN.b) / (yRange[1] - yRange[0]);
    const points = followed.map((id) => [
      (Math.log10(words.count[id]) - xRange[0]) * across,
      (yRange[1] - (state.log ? Math.log10(at(shown.scatter, id)) : at(shown.scatter, id))) * down,
    ]);
    const taken = points.map(([x, y]) => [x - 8, y - 8, x + 8, y + 8]);
    return points.map(([x, y], i) => {
      const wide = 7.5 * label(followed[i]).length, own = taken[i];
      const boxes = {
        "top center": [x - wide / 2, y - 26, x + wide / 2, y - 9], "middle left": [x - wide - 9, y - 8, x - 9, y + 8],
        "bottom center": [x - wide / 2, y + 9, x + wide / 2, y + 26], "middle right": [x + 9, y - 8, x + wide + 9, y + 8],
      };
      const free = ([left, top, right, bottom]) => left > -MARGIN.l && right < box.width - MARGIN.l && top > -MARGIN.t
        && taken.every((t) => t === own || left > t[2] || right < t[0] || top > t[3] || bottom < t[1]);
      const place = Object.keys(boxes).find((name) => free(boxes[name])) || "middle left";
      taken.push(boxes[place]);
      return place;
    });
  }

  const label = (id) => (words.word[id].length > 16 ? `${words.word[id].slice(0, 15)}…` : words.word[id]);

  function drawScatter() {
    drawn = pointsNow();
    const total = drawn.reduce((sum, ids) => sum + ids.length, 0);
    const crowd = Math.min(20, Math.max(1, total / 300)); // the more words, the smaller and fainter
    const traces = GROUPS[state.colour].map(([name, , hue, , symbol], i) => ({
      type: webgl ? "scattergl" : "scatter", mode: "markers", hoverinfo: "none",
      x: Float64Array.from(drawn[i], (id) => words.count[id]), y: Float32Array.from(drawn[i], (id) => at(shown.scatter, id)),
      marker: {
        color: colour(hue), symbol, line: { width: 0 },
        size: name ? Math.max(4.5, 8 / crowd ** 0.2) : 3.5, opacity: name ? 0.85 / crowd ** 0.12 : 0.45,
      },
    }));
    const followed = state.followed.map((word) => words.ids.get(word)).filter(
      (id) => id !== undefined && words.count[id] >= state.least && !Number.isNaN(at(shown.scatter, id)));
    drawn.push(followed);
    const [fewest, most] = [Math.max(state.least, words.fewest), words.most].map(Math.log10);
    const xRange = [fewest - 0.08, most + 0.12], yRange = range();
    traces.push({
      type: "scatter", mode: "markers+text", hoverinfo: "none", cliponaxis: false,
      x: followed.map((id) => words.count[id]), y: followed.map((id) => at(shown.scatter, id)),
      text: followed.map((id) => escaped(label(id))), textposition: places(followed, xRange, yRange),
      textfont: { color: colour("ink"), size: 13 },
      marker: { symbol: "circle-open", size: 12, color: colour("ink"), line: { width: 1.5 } },
    });
    const cursor = state.cursor !== null && !Number.isNaN(at(shown.scatter, state.cursor)) ? [state.cursor] : [];
    drawn.push(cursor);
    traces.push({
      type: "scatter", mode: "markers", hoverinfo: "skip",
      x: cursor.map((id) => words.count[id]), y: cursor.map((id) => at(shown.scatter, id)),
      marker: { symbol: "circle-open", size: 18, color: colour("ink"), line: { width: 2 } },
    });
    const { axis, layout } = look();
    const decades = Array.from({ length: 10 }, (_, i) => 10 ** i);
    const view = [shown.corpus, shown.role, shown.tensor, shown.measure, state.log, state.least].join();
    Plotly.react($("scatter"), traces, {
      ...layout, uirevision: view, margin: MARGIN,
      xaxis: {
        ...axis, type: "log", range: xRange, tickvals: decades, ticktext: decades.map(number), uirevision: view,
        title: { text: "occurrences in the training split", standoff: 8 },
      },
      yaxis: {
        ...axis, type: state.log ? "log" : "linear", range: yRange, uirevision: view,
        title: { text: `mean ${written(shown.tensor)}`, standoff: 8 },
      },
    }, CONFIG);
    summarise(drawn.slice(0, -2).flat());
  }

  // Pearson's correlation of the measure with frequency over the words shown, as figure 3 has it over all words.
  function summarise(ids) {
    const mean = (of) => ids.reduce((sum, id) => sum + of(id), 0) / ids.length;
    const x = (id) => words.count[id], y = (id) => at(shown.scatter, id);
    const [mx, my] = [mean(x), mean(y)];
    const xy = mean((id) => (x(id) - mx) * (y(id) - my));
    const r = xy / Math.sqrt(mean((id) => (x(id) - mx) ** 2) * mean((id) => (y(id) - my) ** 2));
    const arrow = shown.role === "target" ? "ρ←" : "ρ→";
    const value = Number.isFinite(r) ? r.toFixed(3).replace("-", "−") : "undefined";
    $("summary").textContent = `${arrow} = ${value}: Pearson’s correlation of ${written(shown.tensor)} with frequency, `
      + `over the ${number(ids.length)} ${inUnits("words")} shown`;
  }

  function lineOf(word) {
    const index = state.followed.indexOf(word);
    return { color: colour(LINES[index % LINES.length]), dash: DASHES[Math.floor(index / LINES.length) % DASHES.length] };
  }

  function drawTrajectories() {
    const { entry: { epochs }, panels } = shown;
    const columns = panels.length > 1 ? (window.innerWidth < 560 ? 1 : 2) : 1;
    const rows = Math.ceil(panels.length / columns);
    const height = rows === 1 ? 400 : 240 * rows;
    const { axis, layout } = look();
    const traces = [], shapes = [], annotations = [];
    const gapX = columns > 1 ? 0.11 : 0, gapY = rows > 1 ? 62 / (height - 66) : 0;
    const wide = (1 - gapX * (columns - 1)) / columns, tall = (1 - gapY * (rows - 1)) / rows;
    const marked = epochs.length <= 20;
    panels.forEach((tensor, i) => {
      const column = i % columns, row = Math.floor(i / columns), suffix = i ? i + 1 : "";
      const left = column * (wide + gapX), top = 1 - row * (tall + gapY);
      layout[`xaxis${suffix}`] = {
        ...axis, domain: [left, left + wide], anchor: `y${suffix}`, tickformat: "d", showgrid: false,
        range: [epochs[0].epoch - 0.5, epochs.at(-1).epoch + 0.5], nticks: 9,
        title: i + columns >= panels.length ? { text: "epoch", standoff: 6 } : undefined,
        ...(epochs.length < 10 ? { dtick: 1 } : {}), ...(i ? { matches: "x" } : {}),
      };
      layout[`yaxis${suffix}`] = {
        ...axis, domain: [top - tall, top], anchor: `x${suffix}`, type: state.log ? "log" : "linear", nticks: 6,
      };
      annotations.push({
        text: `mean ${written(tensor)}`, xref: "paper", yref: "paper", x: left, y: top, xanchor: "left", yanchor: "bottom",
        showarrow: false, font: { color: colour("ink"), size: 13 },
      });
      const axes = { xref: `x${suffix}`, yref: `y${suffix} domain`, y0: 0, y1: 1, layer: "below" };
      for (const at of epochs) {
        if (at.learning_rate_out < at.learning_rate_in) {
          shapes.push({ ...axes, type: "line", x0: at.epoch, x1: at.epoch, name: "drop",
            line: { color: colour("grey"), width: 1, dash: "dash" } });
        }
      }
      const now = epochs[state.epoch].epoch;
      shapes.push({ ...axes, type: "line", x0: now, x1: now, name: "now", line: { color: colour("soft"), width: 1 } });
      for (const word of state.followed) {
        const id = words.ids.get(word), line = lineOf(word);
        traces.push({
          type: "scatter", mode: marked ? "lines+markers" : "lines", hoverinfo: "none", connectgaps: false,
          xaxis: `x${suffix}`, yaxis: `y${suffix}`, x: epochs.map((e) => e.epoch), meta: { word, tensor: i },
          y: epochs.map((_, e) => (id === undefined ? NaN : at(shown.series[i], id, e))),
          line: { ...line, width: 2 }, marker: { size: 5, color: line.color },
        });
      }
    });
    $("trajectories").style.height = `${height}px`;
    Plotly.react($("trajectories"), traces, {
      ...layout, height, shapes, annotations, margin: { l: 52, r: 14, t: 22, b: 44 },
    }, CONFIG);
  }

  // Fades all words followed but one.
  function emphasise(word) {
    const traces = $("trajectories").data;
    if (traces?.length) {
      Plotly.restyle($("trajectories"), { opacity: traces.map((t) => (word === undefined || t.meta.word === word ? 1 : 0.15)) });
    }
  }

  function drawNow() {
    const { epochs } = shown.entry, now = epochs[state.epoch];
    $("epoch").max = epochs.length - 1;
    $("epoch").value = state.epoch;
    $("epoch").setAttribute("aria-valuetext", `epoch ${now.epoch}`);
    $("epoch-label").textContent = `Epoch ${now.epoch} of ${epochs.at(-1).epoch}`;
    const parts = [`learning rate ${short(now.learning_rate_in)}`];
    if (now.learning_rate_out < now.learning_rate_in) parts[0] += `, ${short(now.learning_rate_out)} from the next epoch`;
    if (now.train_loss !== null) parts.push(`train loss ${now.train_loss.toFixed(3)}`);
    if (now.dev_loss !== null) parts.push(`dev loss ${now.dev_loss.toFixed(3)} nats per token`);
    $("now").textContent = parts.join(" · ");
  }

  // A text that says word, with what the corpus's tokens are.
  function inUnits(text) {
    return text.replace(/(word|character)/, words.unit)
      .replace(/(Word|Character)/, words.unit[0].toUpperCase() + words.unit.slice(1));
  }

  function drawAbout() {
    const { condition, probe, positions } = shown.entry;
    const settings = Object.entries(probe).map(([key, value]) => `${key} ${value}`).join(", ");
    $("about").textContent = `Condition ${condition}: ${settings}; ${number(positions)} positions an epoch. `
      + `Corpus ${shown.corpus}: ${number(words.word.length - manifest.specials)} ${inUnits("words")}.`;
    for (const element of document.querySelectorAll(".unit")) element.textContent = inUnits(element.textContent);
    for (const element of document.querySelectorAll(".unit-label")) element.ariaLabel = inUnits(element.ariaLabel);
    $("colour").parentElement.hidden = words.unit === "character"; // which have no part of speech
  }

  function drawLegend() {
    const sizes = new Map();
    for (let id = manifest.specials; id < words.word.length; id++) {
      if (words.count[id] >= state.least) sizes.set(group(id), (sizes.get(group(id)) || 0) + 1);
    }
    $("legend").replaceChildren(...GROUPS[state.colour].filter(([name]) => sizes.has(name)).map(([name, label, hue, glyph]) => {
      const button = document.createElement("button"), mark = document.createElement("span");
      button.type = "button";
      button.dataset.group = name;
      button.setAttribute("aria-pressed", String(!state.hidden.has(name)));
      mark.className = "glyph";
      mark.style.color = `var(--${hue})`;
      mark.textContent = glyph;
      mark.setAttribute("aria-hidden", "true");
      button.append(mark, ` ${label} (${number(sizes.get(name))})`);
      return button;
    }));
  }

  function drawChips() {
    $("followed").replaceChildren(...state.followed.map((word) => {
      const item = document.createElement("li"), button = document.createElement("button");
      const cross = document.createElement("span"), line = lineOf(word);
      button.type = "button";
      button.dataset.word = word;
      button.setAttribute("aria-label", `${word}: follow no longer`);
      button.innerHTML = '<svg width="22" height="8" aria-hidden="true"><line x1="1" x2="21" y1="4" y2="4" stroke-width="2.5"/></svg>';
      const stroke = button.querySelector("line");
      stroke.setAttribute("stroke", line.color);
      stroke.setAttribute("stroke-dasharray", { solid: "none", dash: "6 4", dot: "2 3" }[line.dash]);
      cross.className = "cross";
      cross.textContent = "×";
      button.append(word, cross);
      item.append(button);
      return item;
    }));
  }

  // ---- updating: load what is lacking, then draw; an update overtaken by a later one draws nothing

  let turn = 0;
  async function update() {
    const mine = ++turn;
    settle();
    const entry = dataOf(), corpus = state.run.split("/")[0], { measure, role, tensor, panels } = state;
    document.body.setAttribute("aria-busy", "true");
    try {
      const [of, scatter, ...series] = await Promise.all(
        [wordsOf(corpus), seriesOf(entry, tensor), ...panels.map((panel) => seriesOf(entry, panel))]);
      if (mine !== turn) return;
      words = of;
      shown = { entry, corpus, measure, role, tensor, panels, scatter, series };
      state.epoch = Math.min(state.epoch, entry.epochs.length - 1);
      $("problem").hidden = true;
      if (!state.started) start();
      state.followed = state.followed.filter((word) => words.ids.has(word));
      state.cursor = null;
      hideTip();
      drawAbout();
      drawLegend();
      redraw();
      document.body.dataset.ready = "true";
    } catch (error) {
      if (mine !== turn) return;
      $("problem").textContent = error.message;
      $("problem").hidden = false;
    }
    document.body.removeAttribute("aria-busy");
  }

  function redraw() {
    drawNow();
    drawChips();
    drawScatter();
    drawTrajectories();
    remember();
  }

  function start() {
    state.started = true;
    if (state.followed.length) return;
    for (const name of ["closed", "open"]) { // ids go by frequency
      for (let id = manifest.specials, n = 0; id < words.word.length && n < 3; id++) {
        if (words.pos_class[id] === name) { state.followed.push(words.word[id]); n++; }
      }
    }
    if (!state.followed.length) state.followed = words.word.slice(manifest.specials, manifest.specials + 6);
  }

  function follow(word, toggle = true) {
    const index = state.followed.indexOf(word);
    if (index < 0) {
      if (state.followed.length === MOST_FOLLOWED) state.followed.shift();
      state.followed.push(word);
    } else if (toggle) state.followed.splice(index, 1);
    $("spoken").textContent = state.followed.includes(word) ? `Following ${word}` : `No longer following ${word}`;
    redraw();
  }

  function go(epoch) {
    state.epoch = Math.max(0, Math.min(shown.entry.epochs.length - 1, epoch));
    drawNow();
    drawScatter();
    const shapes = $("trajectories").layout.shapes, now = shown.entry.epochs[state.epoch].epoch;
    Plotly.relayout($("trajectories"), { shapes: shapes.map((s) => (s.name === "now" ? { ...s, x0: now, x1: now } : s)) });
    remember();
  }

  function play(on) {
    clearInterval(playing);
    playing = null;
    if (on) {
      const last = shown.entry.epochs.length - 1;
      if (state.epoch === last) go(0);
      playing = setInterval(() => {
        go(state.epoch + 1);
        if (state.epoch >= last) play(false);
      }, FRAME_MS);
    }
    $("play").textContent = on ? "Pause" : "Play";
  }

  // ---- the tip: what is known of a word, as text

  function describe(id, data, tensor, epoch) {
    const n = data.n[epoch * words.word.length + id];
    return [
      words.word[id],
      `${written(tensor)} = ${short(at(data, id, epoch))} after epoch ${shown.entry.epochs[epoch].epoch}`,
      `mean over ${number(n)} positions as ${shown.role}`,
      `${number(words.count[id])} occurrences in training`,
      ...(words.unit === "character" ? [] : [
        [words.pos[id] || "no majority part of speech", words.pos_class[id] ? `${words.pos_class[id]} class` : ""].filter(Boolean).join(", "),
      ]),
    ];
  }

  function showTip(lines, left, top) {
    const [word, ...rest] = lines.map((text, i) => {
      const element = document.createElement(i ? "span" : "strong");
      element.textContent = text;
      return element;
    });
    const tip = $("tip");
    tip.replaceChildren(word, ...rest);
    tip.hidden = false;
    const { width, height } = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(8, Math.min(left + 14, window.innerWidth - width - 8))}px`;
    tip.style.top = `${top - height - 10 < 8 ? top + 14 : top - height - 10}px`;
  }

  function hideTip() { $("tip").hidden = true; }

  function walk(step) {
    const ids = drawn.slice(0, -2).flat().sort((a, b) => words.count[a] - words.count[b] || b - a);
    if (!ids.length) return;
    const from = ids.indexOf(state.cursor);
    state.cursor = ids[from < 0 ? ids.length - 1 : Math.max(0, Math.min(ids.length - 1, from + step))];
    drawScatter();
    const lines = describe(state.cursor, shown.scatter, shown.tensor, state.epoch);
    const box = $("scatter").getBoundingClientRect(), { xaxis, yaxis } = $("scatter")._fullLayout;
    showTip(lines, box.left + xaxis._offset + xaxis.d2p(words.count[state.cursor]),
      box.top + yaxis._offset + yaxis.d2p(at(shown.scatter, state.cursor)));
    $("spoken").textContent = lines.join(", ");
  }

  // ---- search

  let matches = [], chosen = -1;

  function find(text) {
    const wanted = text.toLowerCase(), starts = [], holds = [];
    if (!wanted) return [];
    for (let id = manifest.specials; id < words.word.length; id++) { // ids go by frequency
      const where = words.word[id].indexOf(wanted);
      if (where === 0 && words.word[id].length === wanted.length) starts.unshift(id);
      else if (where === 0) starts.push(id);
      else if (where > 0) holds.push(id);
    }
    return [...starts, ...holds].slice(0, 12);
  }

  function drawMatches(open) {
    $("matches").hidden = !open;
    $("search").setAttribute("aria-expanded", String(open));
    $("matches").replaceChildren(...matches.map((id, i) => {
      const item = document.createElement("li"), count = document.createElement("span");
      item.id = `match${i}`;
      item.setAttribute("role", "option");
      item.setAttribute("aria-selected", String(i === chosen));
      item.dataset.word = words.word[id];
      count.className = "count";
      count.textContent = number(words.count[id]);
      item.append(words.word[id], count);
      return item;
    }));
    if (open && !matches.length) {
      const item = document.createElement("li");
      item.textContent = inUnits("no such word in the vocabulary");
      $("matches").append(item);
    }
    if (open && chosen >= 0) $("search").setAttribute("aria-activedescendant", `match${chosen}`);
    else $("search").removeAttribute("aria-activedescendant");
  }

  function take(word) {
    follow(word, false);
    $("search").value = "";
    matches = [];
    drawMatches(false);
  }

  // ---- the address keeps the choice, so that a view can be bookmarked or sent

  const KEPT_KEYS = ["run", "seed", "condition", "measure", "role", "tensor", "colour", "least"];

  let remembering = null; // browsers allow few changes of the address a second
  function remember() {
    clearTimeout(remembering);
    remembering = setTimeout(writeAddress, 300);
  }

  function writeAddress() {
    const kept = new URLSearchParams(KEPT_KEYS.map((key) => [key, state[key]]));
    kept.set("epoch", shown.entry.epochs[state.epoch].epoch);
    kept.set("panels", state.panels.join(" "));
    kept.set("log", Number(state.log));
    kept.set("words", state.followed.join(" "));
    history.replaceState(null, "", `#${kept}`);
  }

  function recall() {
    const kept = new URLSearchParams(location.hash.slice(1));
    for (const key of KEPT_KEYS) if (kept.has(key)) state[key] = kept.get(key);
    state.least = Number(state.least) || 1;
    if (!(state.colour in GROUPS)) state.colour = "class";
    if (state.role !== "input") state.role = "target";
    state.log = kept.get("log") === "1";
    state.panels = (kept.get("panels") || "").split(" ").filter(Boolean);
    state.followed = (kept.get("words") || "").split(" ").filter(Boolean).slice(0, MOST_FOLLOWED);
    settle();
    const epochs = dataOf().epochs.map((e) => e.epoch);
    state.epoch = kept.has("epoch") ? Math.max(0, epochs.indexOf(Number(kept.get("epoch")))) : epochs.length - 1;
  }

  function saveCsv() {
    const quoted = (text) => `"${String(text).replaceAll('"', '""')}"`;
    const rows = ["run,condition,measure,role,tensor,word,count,epoch,mean,n"];
    const { entry, measure, role, panels, series } = shown;
    panels.forEach((tensor, i) => state.followed.forEach((word) => entry.epochs.forEach(({ epoch }, e) => {
      const id = words.ids.get(word), value = at(series[i], id, e);
      rows.push([entry.run, entry.condition, measure, role, tensor, quoted(word), words.count[id], epoch,
        Number.isNaN(value) ? "" : Number(value.toPrecision(5)), series[i].n[e * words.word.length + id]].join());
    })));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([`${rows.join("\n")}\n`], { type: "text/csv" }));
    link.download = "trajectories.csv";
    link.click();
    URL.revokeObjectURL(link.href);
  }

  // ---- light and dark: as the system says, until the button is pressed

  function setTheme(name) {
    document.documentElement.dataset.theme = name;
    $("theme").textContent = name === "dark" ? "Light" : "Dark";
    $("theme").setAttribute("aria-label", name === "dark" ? "Use light colours" : "Use dark colours");
    if (shown) redraw();
  }

  function listen() {
    for (const key of ["run", "seed", "condition", "measure", "tensor"]) {
      $(key).onchange = () => { state[key] = $(key).value; play(false); update(); };
    }
    $("role").onchange = (event) => { state.role = event.target.value; update(); };
    $("panels").onchange = () => {
      const boxes = [...$("panels").querySelectorAll("input")];
      const last = state.panels;
      state.panels = boxes.filter((box) => box.checked).map((box) => box.value);
      if (!state.panels.length) state.panels = last;
      const focused = document.activeElement.value;
      update().then(() => $("panels").querySelector(`[value="${focused}"]`)?.focus());
    };
    $("colour").value = state.colour;
    $("colour").onchange = () => { state.colour = $("colour").value; state.hidden.clear(); drawLegend(); redraw(); };
    state.least = Number(options($("least"), [1, 10, 100, 1000, 10000, 100000].map((n) => [n, number(n)]), state.least));
    $("least").onchange = () => { state.least = Number($("least").value); drawLegend(); redraw(); };
    $("log").checked = state.log;
    $("log").onchange = () => { state.log = $("log").checked; redraw(); };
    $("legend").onclick = (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      const name = button.dataset.group;
      if (!state.hidden.delete(name)) state.hidden.add(name);
      button.setAttribute("aria-pressed", String(!state.hidden.has(name)));
      redraw();
    };
    $("followed").onclick = (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      const index = state.followed.indexOf(button.dataset.word);
      follow(button.dataset.word);
      const left = $("followed").querySelectorAll("button"); // the list is new: the focus goes to what took the place
      (left[Math.min(index, left.length - 1)] || $("search")).focus();
    };
    for (const type of ["pointerover", "focusin", "pointerout", "focusout"]) {
      $("followed").addEventListener(type, (event) => {
        emphasise(type.endsWith("out") ? undefined : event.target.closest("button")?.dataset.word);
      });
    }
    $("epoch").oninput = () => { play(false); go(Number($("epoch").value)); };
    $("play").onclick = () => play(!playing);
    $("save").onclick = saveCsv;
    $("choices").onsubmit = (event) => event.preventDefault();

    $("search").oninput = () => {
      matches = find($("search").value.trim());
      chosen = matches.length ? 0 : -1;
      drawMatches($("search").value.trim() !== "");
    };
    $("search").onkeydown = (event) => {
      if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        event.preventDefault();
        if (matches.length) chosen = (chosen + (event.key === "ArrowDown" ? 1 : -1) + matches.length) % matches.length;
        drawMatches(matches.length > 0);
      } else if (event.key === "Enter" && matches[chosen] !== undefined) take(words.word[matches[chosen]]);
      else if (event.key === "Escape") { matches = []; drawMatches(false); }
    };
    $("search").onblur = () => drawMatches(false);
    $("matches").onmousedown = (event) => { // before the field loses the focus
      const item = event.target.closest("[data-word]");
      event.preventDefault();
      if (item) take(item.dataset.word);
    };

    $("scatter").onkeydown = (event) => {
      if (event.key === "ArrowRight" || event.key === "ArrowLeft") {
        event.preventDefault();
        walk((event.key === "ArrowRight" ? 1 : -1) * (event.shiftKey ? 50 : 1));
      } else if (event.key === "Enter" && state.cursor !== null) follow(words.word[state.cursor]);
      else if (event.key === "Escape") { state.cursor = null; hideTip(); drawScatter(); }
    };
    $("scatter").onblur = hideTip;

    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.onchange = () => setTheme(dark.matches ? "dark" : "light");
    $("theme").onclick = () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
    let width = window.innerWidth;
    window.addEventListener("resize", () => {
      if ((width < 560) !== (window.innerWidth < 560) && shown) drawTrajectories();
      width = window.innerWidth;
    });
    setTheme(dark.matches ? "dark" : "light");
  }

  // Plotly's own events exist once a plot does.
  function listenToPlots() {
    const idOf = (point) => drawn[point.curveNumber][point.pointNumber];
    const place = (event) => [event.event.clientX, event.event.clientY];
    $("scatter").on("plotly_hover", (event) => {
      showTip(describe(idOf(event.points[0]), shown.scatter, shown.tensor, state.epoch), ...place(event));
    });
    $("scatter").on("plotly_click", (event) => follow(words.word[idOf(event.points[0])]));
    $("trajectories").on("plotly_hover", (event) => {
      const { word, tensor } = event.points[0].data.meta;
      showTip(describe(words.ids.get(word), shown.series[tensor], shown.panels[tensor], event.points[0].pointNumber), ...place(event));
    });
    $("trajectories").on("plotly_click", (event) => go(event.points[0].pointNumber));
    for (const plot of ["scatter", "trajectories"]) $(plot).on("plotly_unhover", hideTip);
  }

  recall();
  listen();
  update().then(() => { if (shown) listenToPlots(); });
  return { receive, receiveWords };
})();
