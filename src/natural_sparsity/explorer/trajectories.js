// @ts-check
"use strict";
// The words followed: their list, their plots through training, and the table of what is plotted.

const trajectories = (() => {
  /** @type {Record<string, string>} */
  const DASHES = { solid: "none", dash: "6 4", dot: "2 3" }; // plotly's, as SVG has them
  const NARROW = 560; // of the window, in pixels: then panels stand below each other

  function draw() {
    const { state, shown, words } = view, { entry: { epochs }, panels } = shown;
    const columns = panels.length > 1 ? (window.innerWidth < NARROW ? 1 : 2) : 1;
    const rows = Math.ceil(panels.length / columns);
    const height = rows === 1 ? 400 : 240 * rows;
    const { axis, layout } = style.look();
    /** @type {PlotOptions[]} */
    const traces = [], /** @type {PlotOptions[]} */ shapes = [], /** @type {PlotOptions[]} */ annotations = [];
    const gapX = columns > 1 ? 0.11 : 0, gapY = rows > 1 ? 62 / (height - 66) : 0;
    const wide = (1 - gapX * (columns - 1)) / columns, tall = (1 - gapY * (rows - 1)) / rows;
    const marked = epochs.length <= 20;
    panels.forEach((tensor, i) => {
      const column = i % columns, row = Math.floor(i / columns), suffix = i ? i + 1 : "";
      const left = column * (wide + gapX), top = 1 - row * (tall + gapY);
      layout[`xaxis${suffix}`] = {
        ...axis, domain: [left, left + wide], anchor: `y${suffix}`, tickformat: "d", showgrid: false,
        range: [epochs[0].time - 0.5, epochs[epochs.length - 1].time + 0.5], nticks: 9,
        title: i + columns >= panels.length ? { text: epochs[0].epoch ? "epoch" : "epoch (0: untrained)", standoff: 6 } : undefined,
        ...(epochs.length < 10 ? { dtick: 1 } : {}), ...(i ? { matches: "x" } : {}),
      };
      layout[`yaxis${suffix}`] = {
        ...axis, domain: [top - tall, top], anchor: `x${suffix}`, type: state.log ? "log" : "linear", nticks: 6,
      };
      annotations.push({
        text: text.mean(tensor), xref: "paper", yref: "paper", x: left, y: top, xanchor: "left", yanchor: "bottom",
        showarrow: false, font: { color: style.colour("ink"), size: 13 },
      });
      const axes = { xref: `x${suffix}`, yref: `y${suffix} domain`, y0: 0, y1: 1, layer: "below" };
      epochs.forEach(({ time }, place) => {
        if (view.isDrop(epochs, place)) {
          shapes.push({ ...axes, type: "line", x0: time, x1: time, name: "drop",
            line: { color: style.colour("grey"), width: 1, dash: "dash" } });
        }
      });
      const now = epochs[state.epoch].time;
      shapes.push({ ...axes, type: "line", x0: now, x1: now, name: "now", line: { color: style.colour("soft"), width: 1 } });
      for (const word of state.followed) {
        const id = words.ids.get(word), line = style.lineOf(word);
        traces.push({
          type: "scatter", mode: marked ? "lines+markers" : "lines", hoverinfo: "none", connectgaps: false,
          xaxis: `x${suffix}`, yaxis: `y${suffix}`, x: epochs.map((e) => e.time), meta: { word, tensor: i, opacity: 1 },
          y: epochs.map((_, e) => (id === undefined ? NaN : view.at(shown.series[i], id, e))),
          line: { ...line, width: 2 }, marker: { size: 5, color: line.color },
        });
        if (id !== undefined) drawMore(traces, { word, id, tensor: i, suffix, line });
      }
    });
    $("trajectories").style.height = `${height}px`;
    Plotly.react($("trajectories"), traces, {
      ...layout, height, shapes, annotations, margin: { l: 52, r: 14, t: 22, b: 44 },
    }, style.CONFIG);
  }

  // Behind a word's line: its band over seeds, and paler, with open marks, the run that it is compared with.
  /** @type {(traces: PlotOptions[], of: { word: string, id: number, tensor: number, suffix: string | number, line: { color: string, dash: string } }) => void} */
  function drawMore(traces, { word, id, tensor, suffix, line }) {
    const { entry, series, other } = view.shown;
    const axes = { xaxis: `x${suffix}`, yaxis: `y${suffix}`, hoverinfo: "skip", type: "scatter", meta: { word, tensor, opacity: 0.5 } };
    /** @type {(epochs: Checkpoint[], data: Series, wide: number, which: number, opacity: number) => { x: number[], y: number[] }} */
    function add(epochs, data, wide, which, opacity) {
      const places = epochs.map((_, e) => e).filter((e) => !Number.isNaN(data.values[e * wide + which]));
      const x = places.map((e) => epochs[e].time), y = places.map((e) => data.values[e * wide + which]);
      const { spread } = data;
      if (spread) {
        const s = places.map((e) => spread[e * wide + which]);
        const low = y.map((value, i) => (view.state.log ? Math.max(value - s[i], value / 10) : value - s[i]));
        traces.push({
          ...axes, mode: "lines", fill: "toself", line: { width: 0 }, fillcolor: line.color,
          opacity: 0.16 * opacity, meta: { ...axes.meta, opacity: 0.16 * opacity },
          x: [...x, ...[...x].reverse()], y: [...y.map((value, i) => value + s[i]), ...low.reverse()],
        });
      }
      return { x, y };
    }
    add(entry.epochs, series[tensor], view.words.word.length, id, 1);
    const which = other?.words.ids.get(word), data = other?.series[tensor];
    if (which === undefined || !other || !data) return;
    const values = add(other.entry.epochs, data, other.words.word.length, which, 0.6);
    traces.push({
      ...axes, ...values, mode: "lines+markers", opacity: 0.5, line: { ...line, width: 1.2 },
      marker: { size: 5, symbol: "circle-open", color: line.color },
    });
  }

  // Moves the line that marks the epoch of the scatter.
  function markEpoch() {
    const { shapes } = $("trajectories").layout, now = view.shown.entry.epochs[view.state.epoch].time;
    Plotly.relayout($("trajectories"), { shapes: shapes.map((s) => (s.name === "now" ? { ...s, x0: now, x1: now } : s)) });
  }

  // Fades all words followed but one.
  /** @type {(word: string | undefined) => void} */
  function emphasise(word) {
    const traces = $("trajectories").data;
    if (traces?.length) {
      Plotly.restyle($("trajectories"), { opacity: traces.map((t) => t.meta.opacity * (word === undefined || t.meta.word === word ? 1 : 0.15)) });
    }
  }

  function drawChips() {
    $("followed").replaceChildren(...view.state.followed.map((word) => {
      const item = document.createElement("li"), button = document.createElement("button");
      const cross = document.createElement("span"), line = style.lineOf(word);
      button.type = "button";
      button.dataset.word = word;
      button.setAttribute("aria-label", `${word}: stop following`);
      button.innerHTML = '<svg width="22" height="8" aria-hidden="true"><line x1="1" x2="21" y1="4" y2="4" stroke-width="2.5"/></svg>';
      const stroke = /** @type {SVGElement} */ (button.querySelector("line"));
      stroke.setAttribute("stroke", line.color);
      stroke.setAttribute("stroke-dasharray", DASHES[line.dash]);
      cross.className = "cross";
      cross.textContent = "×";
      button.append(word, cross);
      item.append(button);
      return item;
    }));
  }

  function saveCsv() {
    const { state, shown, words } = view, { entry, measure, role, panels, series } = shown;
    /** @type {(string: string) => string} */
    const quote = (string) => `"${String(string).replaceAll('"', '""')}"`;
    const head = [entry.data, entry.model, entry.seed, entry.condition, measure, role];
    const rows = ["data,model,seed,condition,measure,role,tensor,word,count,epoch,mean,n"];
    panels.forEach((tensor, i) => state.followed.forEach((word) => entry.epochs.forEach(({ time }, e) => {
      const id = Number(words.ids.get(word)), value = view.at(series[i], id, e);
      rows.push([...head, tensor, quote(word), words.count[id], time,
        Number.isNaN(value) ? "" : Number(value.toPrecision(5)), view.countAt(series[i], id, e)].join());
    })));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([`${rows.join("\n")}\n`], { type: "text/csv" }));
    link.download = "trajectories.csv";
    link.click();
    URL.revokeObjectURL(link.href);
  }

  function listen() {
    $("followed").onclick = (event) => {
      const button = closest(event, "button");
      if (!button) return;
      const word = String(button.dataset.word), index = view.state.followed.indexOf(word);
      main.follow(word);
      const left = $("followed").querySelectorAll("button"); // the list is new: the focus goes to what took the place
      (left[Math.min(index, left.length - 1)] || $("search")).focus();
    };
    for (const type of ["pointerover", "focusin", "pointerout", "focusout"]) {
      $("followed").addEventListener(type, (event) => {
        emphasise(type.endsWith("out") ? undefined : closest(event, "button")?.dataset.word);
      });
    }
    $("save").onclick = saveCsv;
    let width = window.innerWidth;
    window.addEventListener("resize", () => {
      if ((width < NARROW) !== (window.innerWidth < NARROW) && view.shown) draw();
      width = window.innerWidth;
    });
  }

  // Plotly's own events exist once a plot does.
  function listenToPlot() {
    $("trajectories").on("plotly_hover", (event) => {
      const { shown, words } = view, [point] = event.points, { word, tensor } = point.data.meta;
      const lines = text.describe(Number(words.ids.get(word)), shown.series[tensor], shown.panels[tensor], point.pointNumber);
      tip.show(lines, ...tip.place(event));
    });
    $("trajectories").on("plotly_click", (event) => epochs.go(event.points[0].pointNumber));
    $("trajectories").on("plotly_unhover", tip.hide);
  }

  return { draw, drawChips, markEpoch, listen, listenToPlot };
})();
