// @ts-check
"use strict";
// Loading. Data are scripts that call explorer.receive…, since a page opened from a folder may read nothing else.

const loading = (() => {
  const KEPT = 24; // decoded series held in memory, besides those under way
  /** @type {Map<string, string>} */
  const waiting = new Map(); // packed data handed over, by key
  /** @type {Map<string, Promise<Series>>} */
  const series = new Map(); // promises of decoded data, by key
  /** @type {string[]} */
  const finished = []; // keys of those that are decoded, the oldest first
  /** @type {Map<string, Words>} */
  const vocabularies = new Map(); // words, by the name of their data

  /** @type {(path: string) => string} */
  const encodePath = (path) => path.split("/").map(encodeURIComponent).join("/");

  /** @type {(src: string) => Promise<void>} */
  function loadScript(src) {
    return new Promise((resolve, reject) => {
      const element = document.createElement("script");
      element.src = src;
      element.onload = () => { element.remove(); resolve(); };
      element.onerror = () => { element.remove(); reject(new Error(`${src} cannot be read; keep the folder whole`)); };
      document.head.append(element);
    });
  }

  /** @type {(key: string, packed: string) => void} */
  function receive(key, packed) { waiting.set(key, packed); }

  /** @type {(name: string, columns: WordColumns) => void} */
  function receiveWords(name, columns) {
    const counts = columns.count.slice(view.manifest.specials).filter((count) => count > 0).sort((a, b) => a - b);
    const ids = new Map(columns.word.map((word, id) => [word, id]));
    const sets = Object.fromEntries(Object.entries(columns.sets).map(([key, members]) => [key, new Set(members)]));
    vocabularies.set(name, { ...columns, ids, sets, fewest: counts[0] ?? 1, most: counts.at(-1) ?? 1 });
  }

  /** @type {(name: string) => Promise<Words>} */
  async function loadWords(name) {
    if (!vocabularies.has(name)) await loadScript(`words/${encodePath(name)}.js`);
    return /** @type {Words} */ (vocabularies.get(name));
  }

  // Keeps a promise of a series; the oldest of those that are done go. One under way stays, or it would load twice.
  /** @type {(key: string, promise: Promise<Series>) => Promise<Series>} */
  function keep(key, promise) {
    series.set(key, promise);
    promise.then(
      () => { finished.push(key); if (finished.length > KEPT) series.delete(String(finished.shift())); },
      () => series.delete(key));
    return promise;
  }

  // The measure and role chosen, at a tensor. All seeds of a run are loaded and averaged.
  /** @type {(entry: Entry, tensor: string) => Promise<Series>} */
  function loadSeries(entry, tensor) {
    const name = `${view.state.measure}.${view.state.role}.${tensor}`;
    const key = `${entry.key}/${name}`;
    const known = series.get(key);
    if (known) return known;
    if (entry.members) {
      const parts = Promise.all(entry.members.map((member) => loadSeries(member, tensor)));
      return keep(key, parts.then((each) => averaging.joinSeries(entry, each)));
    }
    return keep(key, loadScript(encodePath(`${entry.folder}/${name}.js`)).then(() => {
      const packed = String(waiting.get(key));
      waiting.delete(key);
      return decode(packed, entry.epochs.length, entry.words);
    }));
  }

  // Undoes data.py: base64, deflate, byte planes, differences from epoch to epoch.
  /** @type {(packed: string, epochs: number, width: number) => Promise<Series>} */
  async function decode(packed, epochs, width) {
    const raw = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
    const inflated = new Blob([raw]).stream().pipeThrough(new DecompressionStream("deflate"));
    const bytes = new Uint8Array(await new Response(inflated).arrayBuffer());
    const size = epochs * width;
    const bits = new Uint32Array(size), n = new Uint32Array(size);
    for (let i = 0; i < size; i++) {
      const before = i >= width ? bits[i - width] >>> 8 : 0;
      bits[i] = (before + bytes[i] + (bytes[size + i] << 8) + (bytes[2 * size + i] << 16)) << 8;
      const place = 3 * size + i;
      n[i] = bytes[place] + (bytes[place + size] << 8) + (bytes[place + 2 * size] << 16) + (bytes[place + 3 * size] << 24);
      if (i >= width) n[i] += n[i - width];
    }
    return { values: new Float32Array(bits.buffer), n, spread: null, extents: new Map() };
  }

  return { receive, receiveWords, loadWords, loadSeries };
})();

// The name by which data scripts call.
const explorer = { receive: loading.receive, receiveWords: loading.receiveWords };
