"""The table of claims: a row for each value, a line for each claim, and the run and controls that they are of."""

import html
import re

import numpy as np
import pandas as pd
import pytest

from example_products import describe_depth, tabulate, write_probe, write_state, write_words
from natural_sparsity import files
from natural_sparsity.analysis import bootstrap
from natural_sparsity.analysis.claims import CLAIMS
from natural_sparsity.analysis.rules import (
    ALSO_SHUFFLED,
    ALSO_UNTRAINED,
    NOT_REPRODUCED,
    NOT_TESTABLE,
    REPRODUCED,
    UNDECIDED,
)
from natural_sparsity.cli import main
from natural_sparsity.errors import UserError
from natural_sparsity.tables import claims

WORDS = 202  # two of them special
EPOCHS = range(6)
TENSORS = describe_depth(2)
COUNTS = np.append([9, 9], np.sort(np.exp(np.random.default_rng(1).uniform(1, 6, WORDS - 2)).astype(int) + 3)[::-1])


def correlated(rho, seed):
    """Values over words whose correlation with frequency is about ``rho``."""
    x = COUNTS - COUNTS[2:].mean()
    noise = np.random.default_rng(seed).normal(size=WORDS)
    return 0.1 + 0.002 * (rho * x / COUNTS[2:].std() + np.sqrt(1 - rho**2) * noise)


def make_probe(epoch, level=0.15, **metadata):
    """χ(∇h²) by target goes with frequency, ever more strongly, and χ(h¹) by input goes against it."""
    rows = []
    for role in ("target", "input"):
        for t, tensor in enumerate(TENSORS):
            there = role == "target" and tensor == "grad_h_2"
            rho = level * epoch if there else -0.5 if (role, tensor) == ("input", "h_1") else 0.0
            values = correlated(rho, 100 * t + (role == "input"))
            rows.append(pd.DataFrame({"id": range(WORDS), "role": role, "tensor": tensor, "chi_mean": values}))
    frame = pd.concat(rows, ignore_index=True)
    return frame.assign(l1_mean=1.0 + frame["chi_mean"], l2_mean=1.0)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The files of a run and of its control, in which nothing goes with frequency."""
    folder = tmp_path_factory.mktemp("run")
    for epoch in EPOCHS:
        write_probe(folder / f"{epoch}.parquet", make_probe(epoch), epoch)
        write_probe(folder / f"shuffled{epoch}.parquet", make_probe(epoch, 0), epoch, data="mixed", tokens="mixed")
        write_state(folder / f"{epoch}.json", epoch)
    classes = pd.Series(["open", "closed", None])[np.arange(WORDS) % 3].reset_index(drop=True)
    frame = pd.DataFrame({"id": range(WORDS), "word": "w", "count": COUNTS, "pos_class": classes, "matched": False})
    write_words(folder / "words.parquet", frame)
    return folder


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Fewer resamples than verdicts need."""
    monkeypatch.setattr(bootstrap, "LEAST_RESAMPLES", 1000)


def options(folder, epochs=EPOCHS, control=()):
    given = {"probes": [folder / f"{epoch}.parquet" for epoch in epochs], "words": folder / "words.parquet"}
    given["checkpoints"] = [folder / f"{epoch}.json" for epoch in epochs if epoch]
    return given | ({"control-probes": [folder / f"shuffled{epoch}.parquet" for epoch in control]} if control else {})


def first_rows(frame):
    return frame.drop_duplicates("claim").set_index("claim")


def test_the_table_for_machines_and_for_readers(written, tmp_path):
    given = [
        word for name, value in options(written).items() for word in (f"--{name}", *map(str, np.atleast_1d(value)))
    ]
    main(["tabulate", "claims", *given, "--title", "Claims: corpus/lstm", "--output", f"{tmp_path}/claims"])
    table = pd.read_csv(tmp_path / "claims.csv", keep_default_na=False)
    about = ["data", "model", "seed", "condition"]
    assert table[about].drop_duplicates().values.tolist() == [["corpus", "lstm", 1, "frozen"]]
    verdicts = first_rows(table)["verdict"]
    assert list(verdicts.index) == [claim.id for claim in CLAIMS]
    assert verdicts["target words: strongly ∇h²"] == verdicts["target words: ∇h² increasingly"] == REPRODUCED
    assert verdicts["input words: concentrated activations"] == NOT_REPRODUCED
    assert verdicts["input words: rise from the first drop"] == NOT_TESTABLE
    assert verdicts["input words: not the gradients"] == UNDECIDED
    assert (table["because"] != "").equals(table["verdict"].isin([UNDECIDED, NOT_TESTABLE]))
    row = table[table["claim"] == "target words: strongly ∇h²"].iloc[0]
    expected = np.corrcoef(COUNTS[2:], correlated(0.75, 100 * TENSORS.index("grad_h_2"))[2:])[0, 1]
    assert float(row["value"]) == pytest.approx(expected)
    assert (row["n"], float(row["above"]), row["holds"]) == ("200", 0.3, "yes")
    text = (tmp_path / "claims.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    bars = [line.replace("\\|", "").count("|") for line in lines]
    assert bars == [5] * (2 + len(CLAIMS)) + [3] * (2 + 4)
    assert "**not testable here**, because the learning rate never dropped |" in text
    assert re.search(r"ρ←\(∇h²\), epoch 5 = 0\.\d+ \[[\d., ]+\], n = 200: > 0\.3\? yes; minus untrained: ", text)
    assert re.search(r"\(extreme of 20\) = [^|]*: −0\.1 to 0\.1\? ", text)  # four gradients, five epochs
    for words in ("a single run: it is one draw", "5 trained epochs; the learning rate never dropped"):
        assert words in text
    for words in ("The untrained model was probed.", "No control on shuffled text was given", "from 1,000 bootstrap"):
        assert words in text
    stored = files.read_metadata(tmp_path / "claims.parquet")
    assert stored["checkpoints"].keys() == {"init", *(f"epoch{epoch}" for epoch in EPOCHS if epoch)}
    assert stored["control"] is None and stored["words"] == files.read_digest(written / "words.parquet")


def test_the_page_names_a_claim_once(written, tmp_path):
    given = [
        word for name, value in options(written, [5]).items() for word in (f"--{name}", *map(str, np.atleast_1d(value)))
    ]
    main(["tabulate", "claims", *given, "--title", "Claims", "--output", f"{tmp_path}/claims"])
    page = (tmp_path / "claims.html").read_text(encoding="utf-8")
    statements = [html.unescape(text) for text in re.findall(r"<tr><td[^>]*>(.*?)</td>", page.partition("</table>")[0])]
    assert statements == [claim.statement for claim in CLAIMS]
    assert '<td class="bad"><b>not reproduced</b>' in page and "half a slight correlation" in page


def test_one_checkpoint_is_judged_and_said_to_be_one(written):
    table = tabulate(claims, **options(written, [5]))
    assert "One trained checkpoint." in table.introduction and "learning rate" not in table.introduction
    assert "The untrained model was not probed." in table.introduction
    assert first_rows(table.frame).loc["target words: strongly ∇h²", "verdict"] == REPRODUCED


def test_effects_are_compared_with_the_control(written):
    name = "target words: strongly ∇h²"
    table = tabulate(claims, **options(written, control=EPOCHS))
    row = first_rows(table.frame).loc[name]
    assert (row["verdict"], row["also"]) == (REPRODUCED, "") and row["shuffled_low"] > 0.3
    assert "Control: the same model trained on this text shuffled (mixed)." in table.introduction
    assert any("minus shuffled: " in cell for line in table.grids[0].rows for cell in line)


def test_an_effect_that_the_control_or_the_untrained_model_shows_is_said_so(written, tmp_path):
    for epoch in EPOCHS:
        probe = make_probe(epoch)
        write_probe(tmp_path / f"{epoch}.parquet", probe, epoch, data="mixed", tokens="mixed")
    given = options(written) | {"control-probes": [tmp_path / f"{epoch}.parquet" for epoch in EPOCHS]}
    table = tabulate(claims, **given)
    assert first_rows(table.frame).loc["target words: strongly ∇h²", "also"] == ALSO_SHUFFLED
    verdicts = [line[3] for line in table.grids[0].rows]
    assert f"**{REPRODUCED}, {ALSO_SHUFFLED}**" in verdicts
    write_probe(tmp_path / "init.parquet", make_probe(5), 0)
    given = options(written)
    given["probes"][0] = tmp_path / "init.parquet"
    table = tabulate(claims, **given)
    assert first_rows(table.frame).loc["target words: strongly ∇h²", "also"] == ALSO_UNTRAINED


def test_a_drop_is_read_from_the_checkpoints(written, tmp_path):
    given = options(written)
    given["checkpoints"] = [
        write_state(tmp_path / f"{epoch}.json", epoch, learning_rate_out=5 if epoch == 3 else 20)
        for epoch in EPOCHS[1:]
    ]
    table = tabulate(claims, **given)
    assert "the learning rate dropped after epoch 3" in table.introduction
    evidence = table.frame.loc[table.frame["claim"] == "input words: rise from the first drop", "evidence"]
    assert evidence.tolist()[:1] == ["ρ→(hᵉ), epoch 1 to 3"] and "ρ→(h¹), epoch 3 to 5" in evidence.tolist()


def test_the_static_gradient_is_no_evidence(written, tmp_path):
    given = options(written, [5])
    static = make_probe(5).query("role == 'target' and tensor == 'h_1'").assign(tensor="static", chi_mean=0.5)
    frame = pd.concat([make_probe(5), static], ignore_index=True)
    given["probes"] = [write_probe(tmp_path / "p.parquet", frame, 5)]
    expected = tabulate(claims, **options(written, [5])).frame
    pd.testing.assert_frame_equal(tabulate(claims, **given).frame, expected)


def test_characters_are_called_so(written):
    table = tabulate(claims, **options(written, [5]), unit="character")
    assert "resamples of the characters" in table.introduction and "20 characters" in table.note


def refuse(message, **given):
    with pytest.raises(UserError, match=message):
        tabulate(claims, **given)


def test_files_that_do_not_belong_together_are_refused(written, tmp_path):
    given = options(written)
    refuse(
        "--checkpoints: --probes have epoch 5, but its state.json is missing; add it",
        **given | {"checkpoints": given["checkpoints"][:-1]},
    )
    other = write_state(tmp_path / "other.json", 5, seed=2)
    refuse("--checkpoints: one is of corpus/lstm, seed 2", **given | {"checkpoints": [*given["checkpoints"], other]})
    words = files.read_parquet(written / "words.parquet", ["id", "word", "count", "pos_class", "matched", "pair"])
    write_words(tmp_path / "words.parquet", words, vocabulary="other")
    refuse("does not belong to .*words.parquet", **given | {"words": tmp_path / "words.parquet"})
    refuse(
        "is of the untrained model; give the probes of trained checkpoints", **given | {"probes": given["probes"][:1]}
    )
    step = write_probe(tmp_path / "step.parquet", make_probe(1), 0, 64)
    refuse("step.parquet: is of step64, inside the first epoch", **given | {"probes": [*given["probes"], step]})
    write_state(tmp_path / "5.json", 5, parameters="other")
    refuse("different checkpoint", **given | {"checkpoints": [*given["checkpoints"][:-1], tmp_path / "5.json"]})


def test_a_control_that_is_none_is_refused(written, tmp_path):
    given = options(written, control=EPOCHS)
    missing = given | {"control-probes": given["control-probes"][:-1]}
    refuse("--control-probes: only one of the run and its control has epoch 5", **missing)
    refuse("was probed on the run's own text", **given | {"control-probes": given["probes"]})
    seed2 = [write_probe(tmp_path / f"{e}.parquet", make_probe(e), e, data="mixed", tokens="m", seed=2) for e in EPOCHS]
    refuse("seed is 2", **given | {"control-probes": seed2})
    others = {"data": {}, "probe": {"data": "mixed", "probe": {"split": "dev"}}, "tensors": {"data": "mixed"}}
    messages = {"data": "was probed on the run's own text", "probe": "probe is", "tensors": "tensors is"}
    for key, metadata in others.items():
        frames = {e: make_probe(e) for e in EPOCHS}
        if key == "tensors":
            frames = {e: frame[~frame["tensor"].str.endswith("h_2")] for e, frame in frames.items()}
        paths = [write_probe(tmp_path / f"{e}.parquet", frames[e], e, tokens="m", **metadata) for e in EPOCHS]
        refuse(messages[key], **given | {"control-probes": paths})


def test_every_run_may_be_expected(written):
    with pytest.raises(UserError, match="its seed is 1, expected 2"):
        tabulate(claims, **options(written, [5]), expect='{"seed": 2}')
