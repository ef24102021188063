// @ts-check
"use strict";
// The tip next to the pointer, or to the cursor.

const tip = {
  /** @type {(lines: string[], left: number, top: number) => void} */
  show(lines, left, top) {
    const elements = lines.map((line, i) => {
      const element = document.createElement(i ? "span" : "strong");
      element.textContent = line;
      return element;
    });
    const box = $("tip");
    box.replaceChildren(...elements);
    box.hidden = false;
    const { width, height } = box.getBoundingClientRect();
    box.style.left = `${Math.max(8, Math.min(left + 14, window.innerWidth - width - 8))}px`;
    box.style.top = `${top - height - 10 < 8 ? top + 14 : top - height - 10}px`;
  },

  hide() { $("tip").hidden = true; },

  // Where the pointer was in an event of plotly's.
  /** @type {(event: PlotEvent) => [left: number, top: number]} */
  place: ({ event }) => [event.clientX, event.clientY],
};
