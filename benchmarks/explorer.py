"""The explorer at the paper's size, in headless Chromium: seconds to load, and seconds of each interaction.

20,000 words, 50 epochs, eight tensors, two roles. Without a graphics card the processor draws the scatter, which is
slower. Seconds are medians, until the next frame is on the screen.
"""

import shutil
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from common import arguments, write
from playwright.sync_api import Page, sync_playwright

from natural_sparsity import cli, files
from natural_sparsity.explorer.data import write_script
from natural_sparsity.explorer.words import digest, read_words
from natural_sparsity.tagging.words import CLOSED, OPEN

TENSORS = ["h_e", "h_1", "h_2", "x", "grad_h_e", "grad_h_1", "grad_h_2", "grad_x"]
FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
# Scripts that run in the page, for i = 0, 1, …
INTERACTIONS = {
    "epoch": "const s = document.getElementById('epoch'); s.value = 10 + i; s.dispatchEvent(new Event('input'))",
    "colour": "const s = document.getElementById('colour'); s.value = ['pos', 'class'][i % 2];"
    " s.dispatchEvent(new Event('change'))",
    "hide a class": "document.querySelector('#legend button').click()",
    "search": "const s = document.getElementById('search'); s.value = `word${i}`; s.dispatchEvent(new Event('input'))",
    "follow": "const s = document.getElementById('search'); s.value = `word${90 + i}`;"
    " s.dispatchEvent(new Event('input')); s.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter'}))",
}


def write_explorer(folder: Path, n_words: int, epochs: int) -> None:
    """Write an explorer of random numbers that change little from epoch to epoch, as real ones do."""
    random = np.random.default_rng(0)
    count = (3e6 / np.arange(1, n_words + 1)).astype(np.uint32)
    classes = pd.Series(random.choice(["open", "closed", ""], n_words, p=[0.5, 0.02, 0.48]))
    pos = classes.map(lambda c: random.choice(OPEN if c == "open" else CLOSED) if c else None)
    words = pd.DataFrame({"id": np.arange(n_words), "word": [f"word{i}" for i in range(n_words)], "count": count})
    words = words.assign(pos=pos, pos_class=classes.replace("", None), matched=False, pair=-1)
    files.write_parquet(folder / "words.parquet", words)
    data = folder / "big/lstm/seed1/frozen"
    counts = np.broadcast_to(count, (epochs, n_words))
    for role in ("target", "input"):
        for tensor in TENSORS:
            start = 0.08 + 0.05 * random.random(n_words)
            chi = start + random.normal(0, 0.001, (epochs, n_words)).cumsum(0)
            name = f"chi.{role}.{tensor}"
            with files.atomic(data / f"{name}.js") as path:
                path.write_text(write_script(f"big/lstm/seed1/frozen/{name}", chi.astype(np.float32), counts))
    rates = {"learning_rate_in": 20, "learning_rate_out": 20, "train_loss": 5.0, "dev_loss": 5.0}
    about = {
        "data": "big",
        "model": "lstm",
        "seed": 1,
        "condition": "frozen",
        "key": "big/lstm/seed1/frozen",
        "probe": {},
        "positions": 1,
        "series": {"chi": {"target": TENSORS, "input": TENSORS}},
        "words": n_words,
        "words_digest": digest(read_words(folder / "words.parquet")),
    }
    files.write_json(data / "data.json", about | {"epochs": [{"epoch": e, **rates} for e in range(1, epochs + 1)]})
    words_of = ["--words", str(folder / "words.parquet"), "--units", "word"]
    cli.main(["explore", "--data", str(data), *words_of, "--output", str(folder / "index.html")])


def seconds_until_drawn(page: Page, action: str, repeats: int) -> float:
    """Median seconds from the action until two frames later."""
    times = page.evaluate(
        f"""async (repeats) => {{
          const frame = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
          const times = [];
          for (let i = 0; i < repeats; i++) {{
            await frame();
            const start = performance.now();
            {{ {action} }}
            await frame();
            times.push((performance.now() - start) / 1000);
          }}
          return times;
        }}""",
        repeats,
    )
    return statistics.median(times)


def main() -> None:
    args = arguments(__doc__, {"words": 500, "epochs": 12}, words=20_000, epochs=50)
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        print("explorer: not measured, since no Chromium is installed")
        return
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        write_explorer(folder, args.words, args.epochs)
        sizes = [path.stat().st_size for path in folder.rglob("chi.*.js")]
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        loads = []
        for _ in range(args.repeats):
            page = browser.new_page(viewport={"width": 1400, "height": 900})
            start = time.perf_counter()
            page.goto((folder / "index.html").as_uri())
            page.wait_for_selector("body[data-ready]")
            loads.append(time.perf_counter() - start)
        seconds = {"load": statistics.median(loads)}
        seconds |= {name: seconds_until_drawn(page, action, args.repeats) for name, action in INTERACTIONS.items()}
        start = time.perf_counter()
        page.locator("#tensor").select_option("h_1")
        page.wait_for_selector("body:not([aria-busy])")
        seconds["another tensor"] = time.perf_counter() - start
        browser.close()
    result = {"ours": seconds["load"], "unit": "s to load, less is better", "seconds": seconds}
    write(args.output, "explorer", result | {"mb_per_measure": sum(sizes) / 1e6})
    print(f"explorer: {', '.join(f'{name} {value:.2f} s' for name, value in seconds.items())}")
    print(f"explorer: {sum(sizes) / 1e6:.1f} MB per measure and condition, {max(sizes) / 1e6:.1f} MB the largest file")


if __name__ == "__main__":
    main()
