"""The explorer in a real browser, opened from its folder."""

import re
import shutil
from urllib.parse import quote_plus

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from small_run import DROPS, EPOCHS, HOSTILE, NEVER, UNDEFINED, WORDS, make_probes, pack, write_inputs

from example_products import describe_depth, write_words
from natural_sparsity import cli

pytestmark = pytest.mark.browser


@pytest.fixture
def open_page(new_page, explorer):
    """Open the page; when the test ends, nothing may have been complained of or asked of a network."""
    said, asked, pages = [], [], []
    listeners = {
        "console": lambda message: said.append(message.text),
        "pageerror": lambda error: said.append(str(error)),
        "dialog": lambda dialog: said.append(f"dialog: {dialog.message}") or dialog.dismiss(),
        "request": lambda request: asked.append(request.url),
    }

    def opened(fragment="", folder=explorer, **options):
        page = new_page(**options)
        pages.append(page)
        for event, listener in listeners.items():
            page.on(event, listener)
        page.goto(f"{(folder / 'index.html').as_uri()}{fragment}")
        page.wait_for_selector("body[data-ready]:not([aria-busy])")
        return page

    yield opened
    for page in pages:
        for event, listener in listeners.items():
            page.remove_listener(event, listener)
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []


@pytest.fixture
def page(open_page):
    """The page as it opens."""
    return open_page()


def settled(page):
    """Wait until what was asked for is drawn."""
    page.wait_for_selector("body:not([aria-busy])")


def trace(page, plot, index):
    """The x and y of a trace, None where there is a gap."""
    x, y = page.evaluate(
        "([plot, i]) => { const t = document.getElementById(plot).data[i]; return [Array.from(t.x), Array.from(t.y)] }",
        [plot, index],
    )
    return np.array(x, float), np.array(y, float)


def traces(page, plot):
    """How many traces a plot has."""
    return page.evaluate("plot => document.getElementById(plot).data.length", plot)


def followed(page):
    """The words followed, as they are read."""
    return [text.removesuffix("×") for text in page.locator("#followed button").all_text_contents()]


def expected(probes, epoch, words, role="target", tensor="grad_h_2", measure="chi"):
    """count and mean of every word that has one; neither of the specials."""
    table = probes[epoch].query("role == @role and tensor == @tensor and id > 1").set_index("id")[f"{measure}_mean"]
    table = table.dropna()
    return words["count"][table.index].to_numpy(float), table.to_numpy()


def through_training(probes, word, tensor):
    """A word's mean χ as target at each epoch."""
    tables = [probes[epoch].set_index(["id", "role", "tensor"])["chi_mean"] for epoch in EPOCHS]
    return [table[WORDS.index(word), "target", tensor] for table in tables]


def drawn(page):
    """x and y of all the words in the scatter, in the order of x."""
    x, y = (np.concatenate(parts) for parts in zip(*(trace(page, "scatter", i) for i in range(3)), strict=True))
    order = np.lexsort((y, x))
    return x[order], y[order]


def assert_scatter_shows(page, table):
    x, y = table
    order = np.lexsort((y, x))
    shown_x, shown_y = drawn(page)
    np.testing.assert_array_equal(shown_x, x[order])
    np.testing.assert_allclose(np.sort(shown_y), np.sort(y), rtol=2**-15)


def test_it_opens_on_the_last_epoch_with_every_word(page, probes, words):
    assert_scatter_shows(page, expected(probes, 5, words))
    assert page.locator("#epoch-label").inner_text() == "Epoch 5 of 5"
    assert page.evaluate("document.getElementById('scatter').data[0].type") == "scattergl"
    assert page.evaluate("document.getElementById('scatter').layout.xaxis.type") == "log"
    assert page.evaluate("document.getElementById('scatter').layout.yaxis.title.text") == "mean χ(∇h²)"
    about = page.locator("#about").inner_text()
    assert about.startswith("Condition frozen: weights frozen, dropout false, batch 40; 12\u202f345 positions")


def test_the_slider_goes_to_another_epoch_and_correlation_follows(page, probes, words):
    page.locator("#epoch").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert page.locator("#epoch-label").inner_text() == "Epoch 3 of 5"
    table = expected(probes, 3, words)
    assert_scatter_shows(page, table)
    rho = stats.pearsonr(*table).statistic
    assert page.locator("#summary").inner_text().startswith(f"ρ← = {rho:.3f}:")
    assert f"over the {len(table[0])} words" in page.locator("#summary").inner_text()
    assert "learning rate 5 · train loss 5.700" in page.locator("#now").inner_text()


def test_play_runs_to_the_last_epoch_and_stops(page):
    # At once: the next epoch comes soon.
    label = page.evaluate(
        "() => (document.getElementById('play').click(), document.getElementById('epoch-label').textContent)"
    )
    assert label == "Untrained, epoch 0 of 5"
    page.wait_for_function("document.getElementById('epoch-label').textContent === 'Epoch 5 of 5'")
    assert page.locator("#play").inner_text() == "Play"


def test_the_untrained_model_is_called_so(page, probes, words):
    page.locator("#epoch").focus()
    page.keyboard.press("Home")
    assert page.locator("#epoch").get_attribute("aria-valuetext") == "untrained, epoch 0"
    assert_scatter_shows(page, expected(probes, 0, words))
    assert page.locator("#now").inner_text() == "", "it has no loss, and nothing trained it"
    title = page.evaluate("document.getElementById('trajectories').layout.xaxis.title.text")
    assert title == "epoch (0: untrained)"
    page.locator("#scatter").focus()
    page.keyboard.press("ArrowLeft")
    assert "before training" in page.locator("#tip").inner_text()


def test_the_last_epoch_announces_no_rate_that_nothing_is_trained_at(page):
    assert page.locator("#now").inner_text() == "learning rate 1.25 · train loss 5.500"
    page.locator("#epoch").focus()
    page.keyboard.press("ArrowLeft")
    assert page.locator("#now").inner_text().startswith("learning rate 5, 1.25 from the next epoch")


def test_the_static_gradient_is_named_and_offered_for_target_words_only(page, probes, words):
    assert "static gradient p̄W − W[w]" in page.locator("#tensor option").all_text_contents()
    page.locator("#tensor").select_option("static")
    page.locator("#panels input[value=static]").check()
    settled(page)
    assert_scatter_shows(page, expected(probes, 5, words, tensor="static"))
    assert page.evaluate("document.getElementById('scatter').layout.yaxis.title.text") == "χ(p̄W − W[w])"
    titles = page.evaluate("document.getElementById('trajectories').layout.annotations.map(a => a.text)")
    assert titles == ["mean χ(∇h²)", "χ(p̄W − W[w])"]
    page.locator("#scatter").focus()
    page.keyboard.press("ArrowLeft")
    assert "at no position" in page.locator("#tip").inner_text()
    page.locator("#role input[value=input]").check()
    settled(page)
    assert page.locator("#tensor option[value=static]").count() == page.locator("#panels [value=static]").count() == 0
    assert_scatter_shows(page, expected(probes, 5, words, role="input"))


def test_surprisal_is_a_measure_of_the_word_and_of_no_tensor(page, probes, words):
    page.locator("#measure").select_option("surprisal")
    settled(page)
    assert page.locator("#tensor option").all_text_contents() == ["x̂"]
    assert_scatter_shows(page, expected(probes, 5, words, tensor="x", measure="surprisal"))
    assert page.evaluate("document.getElementById('scatter').layout.yaxis.title.text") == "mean surprisal (nats)"
    assert "Pearson’s correlation of surprisal (nats) with frequency" in page.locator("#summary").inner_text()
    page.locator("#measure").select_option("chi")
    settled(page)
    assert page.locator("#tensor").input_value() == "x"
    assert page.locator("#tensor option").count() == 9


@pytest.mark.parametrize("name", ["matched", "paired", "frequent", "rare"])
def test_the_words_shown_can_be_those_of_a_set(open_page, probes, words, name):
    page = open_page()
    page.locator("#set").select_option(name)
    half = len(words) // 2 - 1  # without the specials; ids go by frequency
    mask = {
        "matched": words["matched"],
        "paired": words["pair"] >= 0,
        "frequent": (words["id"] > 1) & (words["id"] < half + 2),
        "rare": words["id"] >= half + 2,
    }[name]
    table = {epoch: frame[frame["id"].isin(words.loc[mask, "id"])] for epoch, frame in probes.items()}
    x, y = expected(table, 5, words)
    assert 0 < len(x) < len(words) - 2
    assert_scatter_shows(page, (x, y))
    assert f"over the {len(x)} words" in page.locator("#summary").inner_text()
    page.wait_for_function(f"location.hash.includes('set={name}&')")
    assert_scatter_shows(open_page(page.evaluate("location.hash")), (x, y))


def test_search_finds_a_word_and_follows_it_with_gaps_where_there_is_no_mean(page, probes):
    before = traces(page, "trajectories")
    for word in ("word7", "word20", "word30"):
        page.locator("#search").fill(word)
        assert page.locator("#matches [role=option]").first.inner_text().split("\n")[0] == word
        page.locator("#search").press("Enter")
    assert followed(page)[-3:] == ["word7", "word20", "word30"]
    assert traces(page, "trajectories") == before + 3
    epochs, chi = trace(page, "trajectories", before)
    assert epochs.tolist() == EPOCHS
    np.testing.assert_allclose(chi, through_training(probes, "word7", "grad_h_2"), rtol=2**-15)
    for index, word in ((before + 1, NEVER), (before + 2, UNDEFINED)):
        assert np.isnan(trace(page, "trajectories", index)[1]).all(), WORDS[word]


def test_the_list_of_matches_is_walked_with_arrow_keys(page):
    page.locator("#search").press_sequentially("word1")
    options = page.locator("#matches [role=option]")
    assert page.locator("#search").get_attribute("aria-expanded") == "true"
    page.keyboard.press("ArrowDown")
    second = options.nth(1)
    assert second.get_attribute("aria-selected") == "true"
    assert page.locator("#search").get_attribute("aria-activedescendant") == second.get_attribute("id")
    word = second.inner_text().split("\n")[0]
    page.keyboard.press("Enter")
    assert followed(page)[-1] == word
    page.locator("#search").fill("zzz")
    assert "no such word" in page.locator("#matches").inner_text()
    page.keyboard.press("Escape")
    assert not page.locator("#matches").is_visible()


def test_a_word_is_let_go_with_the_keyboard_and_the_focus_stays_in_the_list(page):
    before = followed(page)
    page.locator("#followed button").nth(1).focus()
    page.keyboard.press("Enter")
    assert followed(page) == [before[0], *before[2:]]
    assert page.evaluate("document.activeElement.dataset.word") == before[2]
    for _ in before[1:]:
        page.keyboard.press("Enter")
    assert followed(page) == []
    assert page.evaluate("document.activeElement.id") == "search"


def test_hovering_tells_of_a_word_and_a_click_follows_it(page, words, probes):
    word = WORDS.index("word2")
    chi = through_training(probes, "word2", "grad_h_2")[-1]
    page.evaluate("plot => document.getElementById(plot).scrollIntoView()", "scatter")
    # Where it lies, from the axes' ranges and the plotting area alone.
    left, top = page.evaluate(
        """([x, y]) => {
          const plot = document.getElementById("scatter"), { xaxis, yaxis } = plot.layout;
          const area = plot.querySelector(".nsewdrag").getBoundingClientRect();
          const part = (value, [low, high]) => (value - low) / (high - low);
          return [area.left + area.width * part(Math.log10(x), xaxis.range),
                  area.bottom - area.height * part(y, yaxis.range)];
        }""",
        [int(words["count"][word]), chi],
    )
    page.mouse.move(left, top)
    page.wait_for_selector("#tip:not([hidden])")
    tip = page.locator("#tip").inner_text().split("\n")
    n = int(words["count"][word])
    assert tip[0] == "word2"
    [shown] = re.fullmatch(r"χ\(∇h²\) = (0\.\d{3,4}) after epoch 5", tip[1]).groups()
    assert float(shown) == pytest.approx(chi, abs=0.5e-4 + 2**-16), "four digits of what is stored in three bytes"
    assert tip[2:4] == [f"mean over {n - 1:,} positions as target".replace(",", "\u202f"),
                        f"{n:,} occurrences in training".replace(",", "\u202f")]  # fmt: skip
    assert words["pos"][word] in tip[4]
    before = traces(page, "trajectories")
    page.mouse.click(left, top)
    assert followed(page)[-1] == "word2"
    assert traces(page, "trajectories") == before + 1


def test_words_are_walked_by_frequency_with_arrow_keys_and_followed_with_enter(page, words):
    page.locator("#scatter").focus()
    for word in ("the", HOSTILE[0], HOSTILE[1]):
        page.keyboard.press("ArrowLeft")
        assert page.locator("#tip strong").inner_text() == word
        assert page.locator("#spoken").inner_text().startswith(word)
    before = followed(page)
    page.keyboard.press("Enter")
    assert set(before) ^ set(followed(page)) == {HOSTILE[1]}


def test_a_word_is_shown_as_it_is_written(open_page):
    page = open_page("#words=" + "+".join(["the", *map(quote_plus, HOSTILE)]))
    assert followed(page) == ["the", *HOSTILE]
    labels = page.locator("#scatter .textpoint").all_text_contents()
    assert labels == ["the", "<script>alert(1…", *HOSTILE[1:]]
    page.locator("#search").fill("<script>")
    assert page.locator("#matches [role=option]").first.inner_text().startswith(HOSTILE[0])


def test_role_tensor_measure_and_condition_change_what_is_shown(page, probes, words):
    page.locator("#role input[value=input]").check()
    settled(page)
    assert_scatter_shows(page, expected(probes, 5, words, role="input"))
    assert page.locator("#summary").inner_text().startswith("ρ→")
    page.locator("#tensor").select_option("x")
    settled(page)
    assert_scatter_shows(page, expected(probes, 5, words, role="input", tensor="x"))
    page.locator("#measure").select_option("l1")
    settled(page)
    assert_scatter_shows(page, expected(probes, 5, words, role="input", tensor="x", measure="l1"))
    assert page.evaluate("document.getElementById('scatter').layout.yaxis.title.text") == "mean ‖x̂‖₁"
    assert page.locator("#condition option").count() == 1
    page.locator("#seed").select_option("2")
    settled(page)
    assert page.locator("#condition option").all_text_contents() == ["frozen", "training"]


def test_a_panel_for_each_tensor_with_the_drops_of_the_learning_rate(page, probes):
    for tensor in ("h_e", "grad_x"):
        page.locator(f"#panels input[value={tensor}]").check()
        settled(page)
    n = len(followed(page))
    assert traces(page, "trajectories") == 3 * n
    titles = page.evaluate("document.getElementById('trajectories').layout.annotations.map(a => a.text)")
    assert titles == ["mean χ(hᵉ)", "mean χ(∇h²)", "mean χ(∇x)"]
    for index, tensor in ((0, "h_e"), (n, "grad_h_2"), (2 * n, "grad_x")):
        wanted = through_training(probes, followed(page)[0], tensor)
        np.testing.assert_allclose(trace(page, "trajectories", index)[1], wanted, rtol=2**-15)
    dashed = page.evaluate(
        "document.getElementById('trajectories').layout.shapes.filter(s => s.line.dash === 'dash').map(s => s.x0)"
    )
    assert dashed == DROPS * 3


def test_colours_can_be_hidden_and_rare_words_left_out(page, words, probes):
    groups = page.locator("#legend button").all_text_contents()
    sizes = words["pos_class"][2:].value_counts()
    assert [group.split()[1] for group in groups] == ["neither", "open", "closed"]
    assert f"({sizes['open']})" in groups[1]
    page.locator("#legend button").nth(1).click()
    x, y = expected(probes, 5, words)
    ids = probes[5].query("role == 'target' and tensor == 'grad_h_2' and id > 1").dropna()["id"]
    kept = (words["pos_class"][ids] != "open").to_numpy()
    assert_scatter_shows(page, (x[kept], y[kept]))
    page.locator("#least").select_option("10000")
    kept = kept & (x >= 10000)
    assert 0 < kept.sum() < len(x)
    assert_scatter_shows(page, (x[kept], y[kept]))
    assert f"over the {kept.sum()} words" in page.locator("#summary").inner_text()
    page.locator("#colour").select_option("pos")
    assert any("adposition" in text for text in page.locator("#legend button").all_text_contents())


def contrast(one, other):
    """The contrast ratio of two colours (WCAG 2)."""

    def luminance(color):
        parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        return np.dot(
            [0.2126, 0.7152, 0.0722], [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        )

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_as_the_system_says_and_by_the_button(open_page, scheme):
    page = open_page(color_scheme=scheme)

    def color(name):
        return page.evaluate(
            "name => getComputedStyle(document.documentElement).getPropertyValue('--' + name).trim()", name
        )

    def theme():
        return page.evaluate("document.documentElement.dataset.theme")

    assert theme() == scheme
    for name in ("ink", "soft", "accent"):
        assert contrast(color(name), color("card")) >= 4.5, name
    for name in ("blue", "red", "green", "purple", "sky", "black"):
        assert contrast(color(name), color("card")) >= 2.5, name
    assert page.evaluate("document.getElementById('scatter').data[1].marker.color") == color("blue")
    page.locator("#theme").click()
    assert theme() != scheme
    assert page.evaluate("document.getElementById('scatter').data[1].marker.color") == color("blue")


def test_every_control_has_a_name_and_is_reached_with_the_tab_key(page):
    reached = []
    page.locator("h1").click()
    for _ in range(60):
        page.keyboard.press("Tab")
        focused = page.evaluate("document.activeElement.id || document.activeElement.value || ''")
        if focused in reached and focused:
            break
        reached.append(focused)
    wanted = ["theme", "seed", "measure", "target", "log", "tensor", "colour", "least", "set", "scatter", "play",
              "epoch", "search", "h_e", "save"]  # fmt: skip
    assert [name for name in reached if name in wanted] == wanted, "in the order of reading"
    nameless = page.evaluate(
        """[...document.querySelectorAll("select, input, button")].filter((control) =>
             !control.labels?.length && !control.getAttribute("aria-label") && !control.textContent.trim())
             .map((control) => control.id)"""
    )
    assert nameless == []


def test_a_view_is_kept_in_its_address(open_page):
    page = open_page()
    page.locator("#tensor").select_option("h_1")
    settled(page)
    page.locator("#search").fill("word50")
    page.locator("#search").press("Enter")
    page.locator("#epoch").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("location.hash.includes('epoch=1&')")
    fragment = page.evaluate("location.hash")
    again = open_page(fragment)
    assert again.locator("#tensor").input_value() == "h_1"
    assert followed(again) == followed(page)
    assert again.locator("#epoch-label").inner_text() == "Epoch 1 of 5"


def test_a_narrow_window_has_no_sideways_scrolling(open_page):
    page = open_page(viewport=(380, 800))
    for tensor in ("h_e", "h_1"):
        page.locator(f"#panels input[value={tensor}]").check()
        settled(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 380
    plot, below = page.locator("#trajectories").bounding_box(), page.locator("#save").bounding_box()
    assert plot["y"] + plot["height"] <= below["y"], "the plot lies over the text"


def test_the_values_followed_are_saved_as_a_table(page, probes, tmp_path):
    with page.expect_download() as download:
        page.locator("#save").click()
    download.value.save_as(tmp_path / "saved.csv")
    table = pd.read_csv(tmp_path / "saved.csv")
    assert len(table) == len(followed(page)) * len(EPOCHS)
    run = table[["data", "model", "seed", "condition"]].drop_duplicates()
    assert run.values.tolist() == [["small", "lstm", 1, "frozen"]]
    assert table["word"].unique().tolist() == followed(page)
    row = table.query("word == 'the' and epoch == 2")
    chi = probes[2].query("id == 2 and role == 'target' and tensor == 'grad_h_2'")
    assert row["mean"].item() == pytest.approx(chi["chi_mean"].item(), rel=2e-5)
    assert row["n"].item() == chi["count"].item() - chi["zeros"].item()


def test_a_lost_file_is_named(new_page, explorer, tmp_path):
    shutil.copytree(explorer, tmp_path / "copy")
    (tmp_path / "copy/small/lstm/seed1/frozen/chi.target.x.js").unlink()
    page = new_page()
    page.goto((tmp_path / "copy/index.html").as_uri())
    page.wait_for_selector("body[data-ready]")
    page.locator("#tensor").select_option("x")
    page.wait_for_selector("#problem:not([hidden])")
    assert "seed1/frozen/chi.target.x.js cannot be read" in page.locator("#problem").inner_text()


def test_characters_are_called_so_and_the_most_frequent_are_followed(open_page, inputs, words, tmp_path):
    folder = tmp_path / "explorer"
    characters = tmp_path / "characters.parquet"
    write_words(characters, words.assign(pos=None, pos_class=None))
    pack(inputs | {"--words": [str(characters)]}, folder / "data")
    given = ["--words", str(characters), "--units", "character"]
    cli.main(["explore", "--data", str(folder / "data"), *given, "--output", str(folder / "index.html")])
    page = open_page(folder=folder)
    assert followed(page) == WORDS[2:8]
    page.focus("#scatter")
    page.keyboard.press("ArrowRight")
    page.fill("#search", "nothing like it")
    text = page.locator("body").inner_text()
    assert "characters shown" in text and "no such character in the vocabulary" in text
    assert "Click a character to follow it" in text and "Characters counted at least" in text
    assert not re.search(r"\b[Ww]ords?\b|part of speech", text)
    labels = page.locator("[aria-label]").evaluate_all("all => all.map((element) => element.ariaLabel)")
    assert "Show or hide characters by colour" in labels
    assert not any("word" in label.lower() for label in labels)


@pytest.mark.parametrize("layers", [1, 3])
def test_models_of_any_depth_open_at_their_top_gradient(open_page, words, words_file, tmp_path, layers):
    probes = make_probes(words, describe_depth(layers))
    pack(write_inputs(tmp_path, words_file, probes), tmp_path / "explorer/data")
    given = ["--words", str(words_file), "--units", "word"]
    cli.main(["explore", "--data", f"{tmp_path}/explorer/data", *given, "--output", f"{tmp_path}/explorer/index.html"])
    page = open_page(folder=tmp_path / "explorer")
    assert page.locator("#tensor").input_value() == f"grad_h_{layers}"
    assert_scatter_shows(page, expected(probes, 5, words, tensor=f"grad_h_{layers}"))


@pytest.mark.parametrize("name", ["__proto__", "constructor", "toString"])
def test_no_name_that_javascript_knows_breaks_the_page(open_page, name):
    """As any choice in the address, and as a word that is followed."""
    keys = ("run", "seed", "condition", "measure", "role", "tensor", "colour", "least", "set", "epoch", "panels", "log")
    page = open_page(f"#{'&'.join(f'{key}={name}' for key in keys)}&words={name}")
    assert page.locator("#colour").input_value() == "class"
    assert page.locator("#tensor").input_value() == "grad_h_2"
    assert followed(page) == [name]


def test_names_that_look_like_something_else_stay_names(open_page, words_file, probes, tmp_path):
    for number, (data, model, condition) in enumerate([("007", "constructor", "null"), ("1e3", "NA", "true")]):
        inputs = write_inputs(tmp_path / str(number), words_file, probes, 1, condition, data=data, model=model)
        pack(inputs, tmp_path / f"explorer/{data}")
    folders = [f"{tmp_path}/explorer/007", f"{tmp_path}/explorer/1e3"]
    given = ["--words", str(words_file), "--units", "word", "--output", f"{tmp_path}/explorer/index.html"]
    cli.main(["explore", "--data", *folders, *given])
    page = open_page("#run=1e3/NA&words=007", folder=tmp_path / "explorer")
    assert page.locator("#run option").all_text_contents() == ["007 · constructor", "1e3 · NA"]
    assert page.locator("#about").inner_text().startswith("Condition true: ")
    assert followed(page) == ["007"]
    page.locator("#run").select_option("007/constructor")
    settled(page)
    assert page.locator("#about").inner_text().startswith("Condition null: ")


def test_all_seeds_are_averaged_with_a_band(open_page, explorer, probes):
    """Both seeds of the small run have the same probes: their mean is theirs, and the spread is none."""
    one = open_page("#seed=1&condition=frozen&epoch=5&words=the")
    every = open_page("#seed=all&condition=frozen&epoch=5&words=the")
    np.testing.assert_allclose(trace(every, "trajectories", 0)[1], trace(one, "trajectories", 0)[1], rtol=1e-6)
    assert traces(one, "trajectories") == 1
    assert traces(every, "trajectories") == 2, "the band"
    assert every.locator("#summary").text_content() == one.locator("#summary").text_content()
    every.click("#terms summary")
    assert "one sample standard deviation" in every.locator("#meanings").inner_text()
    assert "‖v‖₂ / ‖v‖₁" in every.locator("#meanings").inner_text()


def test_a_second_run_stands_beside_the_first(open_page, words_file, probes, tmp_path):
    for model in ("lstm", "ticket"):
        pack(write_inputs(tmp_path, words_file, probes, model=model), tmp_path / "page" / model)
    given = ["--data", *(f"{tmp_path}/page/{model}" for model in ("lstm", "ticket")), "--units", "word"]
    cli.main(["explore", *given, "--words", str(words_file), "--output", f"{tmp_path}/page/index.html"])
    page = open_page("#run=small/lstm&other=small/ticket&words=the", folder=tmp_path / "page")
    assert traces(page, "trajectories") == 2
    np.testing.assert_array_equal(trace(page, "trajectories", 0)[1], trace(page, "trajectories", 1)[1])
    rho = page.locator("#summary").text_content().split(":")[0]
    assert page.locator("#other-summary").text_content().startswith(f"small · ticket, seed 1: {rho}")
