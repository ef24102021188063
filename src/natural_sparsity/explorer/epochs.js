// @ts-check
"use strict";
// The epoch of the scatter: its slider, and playing through all.

const epochs = (() => {
  const FRAME_MS = 350; // an epoch while playing
  let playing = 0; // the timer, or 0

  function draw() {
    const every = view.shown.entry.epochs, now = every[view.state.epoch];
    $("epoch").max = String(every.length - 1);
    $("epoch").value = String(view.state.epoch);
    const inside = !now.epoch && now.steps > 0;
    const name = inside ? `step ${text.number(now.steps)} in epoch 1` : now.epoch ? `epoch ${now.epoch}` : "untrained, epoch 0";
    $("epoch").setAttribute("aria-valuetext", name);
    $("epoch-label").textContent = `${name[0].toUpperCase()}${name.slice(1)} of ${every[every.length - 1].epoch}`;
    const parts = !now.epoch && !inside ? []
      : [now.learning_rate_in === null ? "learning rate differs between seeds" : `learning rate ${text.short(now.learning_rate_in)}`];
    if (!view.shown.entry.members && view.isDrop(every, view.state.epoch)) parts[0] += `, ${text.short(now.learning_rate_out)} from the next epoch`;
    if (now.train_loss !== null) parts.push(`train loss ${now.train_loss.toFixed(3)}`);
    if (now.dev_loss !== null) parts.push(`dev loss ${now.dev_loss.toFixed(3)} nats per token`);
    $("now").textContent = parts.join(" · ");
  }

  /** @type {(epoch: number) => void} */
  function go(epoch) {
    view.state.epoch = Math.max(0, Math.min(view.shown.entry.epochs.length - 1, epoch));
    draw();
    scatter.draw();
    trajectories.markEpoch();
    address.remember();
  }

  /** @type {(on: boolean) => void} */
  function play(on) {
    clearInterval(playing);
    playing = 0;
    if (on) {
      const last = view.shown.entry.epochs.length - 1;
      if (view.state.epoch === last) go(0);
      playing = setInterval(() => {
        go(view.state.epoch + 1);
        if (view.state.epoch >= last) play(false);
      }, FRAME_MS);
    }
    $("play").textContent = on ? "Pause" : "Play";
  }

  function listen() {
    $("epoch").oninput = () => { play(false); go(Number($("epoch").value)); };
    $("play").onclick = () => play(!playing);
  }

  return { draw, go, play, listen };
})();
