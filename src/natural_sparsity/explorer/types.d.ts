// Types of the explorer's scripts, for TypeScript's checker (make lint) and for editors. The page does not load this file.

type Role = "target" | "input";

/** A checkpoint of a run, as data.py writes it. */
interface Checkpoint {
  checkpoint: string;
  epoch: number;
  steps: number;
  /** In epochs; a fraction inside the first. */
  time: number;
  /** Null if it differs between the seeds averaged. */
  learning_rate_in: number | null;
  learning_rate_out: number;
  /** Nats per token; null where nothing was measured. */
  train_loss: number | null;
  dev_loss: number | null;
  /** Whether the rate fell after it; view.js adds this. */
  dropped: boolean;
}

/** A run under one condition, as data.py writes it; or the mean over the seeds of several. */
interface Entry {
  data: string;
  model: string;
  seed: number | "all";
  condition: string;
  key: string;
  folder: string;
  probe: Record<string, unknown>;
  positions: number;
  /** Names of tensors, by measure and role. */
  series: Record<string, Record<Role, string[]>>;
  /** How many words the vocabulary has. */
  words: number;
  epochs: Checkpoint[];
  /** The entries averaged; only a mean over seeds has them. */
  members?: Entry[];
}

/** What page.py embeds: everything that can be chosen. */
interface Manifest {
  data: Entry[];
  /** Name in a list, and a pattern with {} for the tensor. */
  measures: Record<string, [string, string]>;
  /** Name in a list, and as it is written in text. */
  tensors: Record<string, [string, string]>;
  /** How many ids stand for no word; they come first. */
  specials: number;
}

/** A vocabulary as words.py writes it: arrays by id, ids by name of a set. */
interface WordColumns {
  unit: "word" | "character";
  word: string[];
  count: number[];
  pos: (string | null)[];
  pos_class: (string | null)[];
  sets: Record<string, number[]>;
}

/** A vocabulary as the page uses it. */
interface Words extends Omit<WordColumns, "sets"> {
  ids: Map<string, number>;
  sets: Record<string, Set<number>>;
  /** The least and the greatest count of a word. */
  fewest: number;
  most: number;
}

/** A measure at a tensor: checkpoints × words, row by row. */
interface Series {
  values: Float32Array;
  n: Uint32Array;
  /** Over seeds; null for one seed. */
  spread: Float32Array | null;
  /** Ranges of the vertical axis, by what they depend on. */
  extents: Map<string, [number, number]>;
}

/** What is chosen. Lists give strings. */
interface State {
  run: string;
  seed: string;
  /** The run compared with; "" for none. */
  other: string;
  condition: string;
  measure: string;
  role: Role;
  tensor: string;
  panels: string[];
  /** The place of a checkpoint among the run's. */
  epoch: number;
  colour: "class" | "pos";
  least: number;
  set: string;
  log: boolean;
  /** Groups of words that are not drawn. */
  hidden: Set<string>;
  followed: string[];
  /** An id. */
  cursor: number | null;
}

/** The run compared with. A tensor that it lacks is null. */
interface Other {
  entry: Entry;
  words: Words;
  scatter: Series | null;
  series: (Series | null)[];
}

/** What is loaded, and so drawn and described. */
interface Shown {
  entry: Entry;
  measure: string;
  role: Role;
  tensor: string;
  panels: string[];
  scatter: Series;
  series: Series[];
  other: Other | null;
}

/** view.js, which every other script uses. */
interface View {
  manifest: Manifest;
  state: State;
  shown: Shown;
  words: Words;
  drawn: number[][];
  ALL: "all";
  runOf(entry: Entry): string;
  find(choice: { run: string; seed: string; condition: string }): Entry | undefined;
  entry(): Entry;
  otherEntry(): Entry | null;
  tensors(entry: Entry, choice: { measure: string; role: Role }): string[];
  isShown(id: number, words?: Words): boolean;
  isDrop(epochs: Checkpoint[], place: number): boolean;
  placeAt(epochs: Checkpoint[], time: number): number;
  at(data: Series, id: number, epoch?: number): number;
  countAt(data: Series, id: number, epoch: number): number;
}

/** Name in the data, label, colour, glyph of the legend, plotly's symbol. */
type Group = [name: string, label: string, hue: string, glyph: string, symbol: string];

/** What a trace of the trajectories says of itself; `tensor` is the place of a panel. */
interface Meta {
  word: string;
  tensor: number;
  opacity: number;
}

/** The part of Plotly that the page uses; its options are Plotly's own. */
interface PlotOptions { [option: string]: any }
interface PlotEvent {
  event: MouseEvent;
  points: { curveNumber: number; pointNumber: number; data: { meta: Meta } }[];
}
interface PlotAxis {
  _offset: number;
  d2p(value: number): number;
}
interface Plot extends HTMLElement {
  data?: { meta: Meta }[];
  layout: { shapes: PlotOptions[] };
  _fullLayout: { xaxis: PlotAxis; yaxis: PlotAxis };
  on(name: string, handler: (event: PlotEvent) => void): void;
}
declare const Plotly: {
  react(plot: Plot, traces: PlotOptions[], layout: PlotOptions, config: PlotOptions): void;
  relayout(plot: Plot, changes: PlotOptions): void;
  restyle(plot: Plot, changes: PlotOptions): void;
};

/** The elements of page.html that scripts ask for. */
interface PageElements {
  about: HTMLElement;
  choices: HTMLFormElement;
  colour: HTMLSelectElement;
  condition: HTMLSelectElement;
  epoch: HTMLInputElement;
  "epoch-label": HTMLLabelElement;
  followed: HTMLUListElement;
  least: HTMLSelectElement;
  legend: HTMLElement;
  log: HTMLInputElement;
  manifest: HTMLScriptElement;
  matches: HTMLUListElement;
  meanings: HTMLUListElement;
  measure: HTMLSelectElement;
  now: HTMLOutputElement;
  other: HTMLSelectElement;
  "other-help": HTMLElement;
  "other-summary": HTMLElement;
  panels: HTMLFieldSetElement;
  play: HTMLButtonElement;
  problem: HTMLElement;
  role: HTMLFieldSetElement;
  run: HTMLSelectElement;
  save: HTMLButtonElement;
  scatter: Plot;
  search: HTMLInputElement;
  seed: HTMLSelectElement;
  set: HTMLSelectElement;
  spoken: HTMLElement;
  summary: HTMLElement;
  tensor: HTMLSelectElement;
  theme: HTMLButtonElement;
  tip: HTMLElement;
  trajectories: Plot;
}
