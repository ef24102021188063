"""Each claim on tables made by hand: every verdict, from the evidence that it should come from."""

import json

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from natural_sparsity.analysis import claims
from natural_sparsity.analysis.claims import CLAIMS, NOT_REPRODUCED, NOT_TESTABLE, REPRODUCED, Run, judge, judged
from natural_sparsity.cli import main
from natural_sparsity.errors import UserError
from natural_sparsity.figures import claims as figure
from natural_sparsity.figures.style import Style
from natural_sparsity.files import write_json, write_parquet

EPOCHS = range(1, 10)
DROP = 4
TENSORS = ["h_e", "h_1", "h_2", "x", "grad_h_e", "grad_h_1", "grad_h_2", "grad_x"]
SETS = ["all", "open", "closed", "open_matched", "closed_matched"]
BY_ID = {claim.id: claim for claim in CLAIMS}


def as_in_the_paper(epoch, role, tensor, measure, words, statistic):
    """Values on which every claim holds."""
    name = words.removesuffix("_matched")
    if statistic == "mean":
        return 0.1 if name == "closed" else 0.08
    if measure == "l1":
        return -0.05
    if role == "input":
        return {"h_e": 0.1 + 0.08 * max(0, epoch - DROP), "h_1": 0.3}.get(tensor, 0.02)
    if tensor != "grad_h_2":
        return 0.03
    return {"all": 0.1 + 0.05 * epoch, "open": 0.05 * epoch, "closed": min(0.2 * epoch, 0.6)}[name]


def tables(value, width=0.01, n=500, epochs=EPOCHS):
    """Correlations and differences in which every interval reaches ``width`` to both sides."""
    keys = [
        (epoch, role, tensor, measure, words, statistic)
        for epoch in epochs
        for role in ("target", "input")
        for tensor in TENSORS
        for measure in ("chi", "l1")
        for words in SETS
        for statistic in ("pearson", "mean")
    ]
    values = {key: value(*key) for key in keys}
    pairs = []
    for key in keys:
        epoch, role, tensor, measure, words, statistic = key
        tensors = [("grad_h_2", "h_2"), ("grad_h_2", "grad_x"), ("h_e", "h_1")]
        others = [("tensor", b, (epoch, role, b, measure, words, statistic)) for a, b in tensors if a == tensor]
        for first, second in (("open", "closed"), ("open_matched", "closed_matched")):
            if words == first:
                others.append(("words", second, (epoch, role, tensor, measure, second, statistic)))
        earlier = [e for e in epochs if e < epoch and (e == epochs[0] or epoch == epochs[-1])]
        others += [("epoch", str(e), (e, *key[1:])) for e in earlier]
        pairs += [(*key, kind, against, values[key] - values[other]) for kind, against, other in others]
    correlations = pd.DataFrame([(*key, values[key]) for key in keys], columns=[*claims.KEYS, "value"])
    differences = pd.DataFrame(pairs, columns=[*claims.KEYS, "kind", "against", "value"])
    return [
        frame.assign(low=frame["value"] - width, high=frame["value"] + width, n=n)
        for frame in (correlations, differences)
    ]


def but(**where):
    """The paper's values but for those that ``where`` names; ``to`` is the other value, or a function of the epoch."""
    to = where.pop("to")

    def value(epoch, role, tensor, measure, words, statistic):
        here = {"epoch": epoch, "role": role, "tensor": tensor, "measure": measure, "words": words}
        here["statistic"] = statistic
        defaults = {"measure": "chi", "statistic": "pearson"}
        if all(here[key] == wanted for key, wanted in (defaults | where).items()):
            return to(epoch) if callable(to) else to
        return as_in_the_paper(epoch, role, tensor, measure, words, statistic)

    return value


REFUTED = {
    "input words: concentrated activations": but(role="input", tensor="h_1", epoch=9, to=-0.3),
    "input words: hᵉ overtakes h¹": but(role="input", tensor="h_e", to=0.9),
    "input words: not the gradients": but(role="input", tensor="grad_h_1", epoch=5, to=-0.4),
    "input words: rise from the first drop": but(role="input", tensor="h_e", to=lambda epoch: 0.08 * epoch),
    "target words: not h²": but(role="target", tensor="h_2", words="all", epoch=2, to=0.2),
    "target words: strongly ∇h²": but(role="target", tensor="grad_h_2", words="all", epoch=9, to=0.25),
    "target words: ∇h² increasingly": but(role="target", tensor="grad_h_2", words="all", to=0.4),
    "target words: ∇h² more than h²": but(role="target", tensor="h_2", words="all", epoch=9, to=0.8),
    "target words: not ∇x": but(role="target", tensor="grad_x", words="all", epoch=9, to=0.8),
    "target words: not the ℓ1 norm": but(role="target", tensor="grad_h_2", measure="l1", epoch=7, to=-0.3),
    "classes: closed rises early, then is steady": but(role="target", tensor="grad_h_2", words="closed", to=0.5),
    "classes: open keeps rising": but(
        role="target", tensor="grad_h_2", words="open", to=lambda epoch: min(0.1 * epoch, 0.5)
    ),
    "classes: closed has sparser ∇h²": but(tensor="grad_h_2", words="closed", statistic="mean", to=0.05),
    "matched: closed has sparser ∇h²": but(tensor="grad_h_2", words="closed_matched", statistic="mean", to=0.05),
    "matched: closed is ahead early": but(role="target", tensor="grad_h_2", words="closed_matched", to=0.1),
}


def run_of(value=as_in_the_paper, dropped=(DROP,), **options):
    return Run(*tables(value, **options), list(dropped))


def test_every_claim_is_tried():
    assert list(REFUTED) == [claim.id for claim in CLAIMS]


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_each_verdict(claim):
    verdict, because, evidence = judge(claim, run_of())
    assert (verdict, because) == (REPRODUCED, "") and evidence
    verdict, because, evidence = judge(claim, run_of(REFUTED[claim.id]))
    assert (verdict, because) == (NOT_REPRODUCED, "") and "no" in {item.holds for item in evidence}
    # Intervals that span everything decide nothing.
    verdict, because, _ = judge(claim, run_of(width=5))
    assert verdict == NOT_TESTABLE and ("does not decide" in because or "do not show it" in because)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_no_verdict_from_missing_data(claim, monkeypatch):
    """Whatever row a claim looks at: without it, undefined, or of few words, the claim is not testable."""
    looked_at = []
    original = Run.look_up

    def spy(self, table, key, *arguments):
        looked_at.append((table is self.differences, key))
        return original(self, table, key, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "look_up", spy)
        judge(claim, run_of())
    assert looked_at
    for in_differences, key in looked_at:
        for change, reason in (("drop", "was not measured"), ("low", "is undefined"), ("n", "is of 19 words")):
            run = run_of()
            name = "differences" if in_differences else "correlations"
            table = getattr(run, name)
            if change == "drop":
                setattr(run, name, table.drop(index=[key]))
            else:
                table.loc[[key], change] = np.nan if change == "low" else 19
            verdict, because, evidence = judge(claim, run)
            assert verdict == NOT_TESTABLE and reason in because and not evidence


def test_on_characters_nothing_is_said_of_words_and_classes_are_not_judged():
    """Character corpora have no classes: the tables have no row of them."""
    correlations, differences = (table[table["words"] == "all"] for table in tables(as_in_the_paper))
    run = Run(correlations, differences, [DROP])
    table = judged(run, unit="character")
    of_classes = table["claim"].str.contains("class|matched")
    assert set(table.loc[of_classes, "verdict"]) == {NOT_TESTABLE}
    assert set(table.loc[of_classes, "because"]) == {"a character has no part of speech, hence no class"}
    others = table.loc[~of_classes, ["claim", "statement", "rule", "because"]].to_numpy(str).ravel()
    assert "Frequent input characters have concentrated activations at hᵉ and h¹." in others
    assert not any("word" in text for text in others)
    assert set(table.loc[~of_classes, "verdict"]) == {REPRODUCED}
    assert "resamples of the characters" in claims.markdown(table, "c/m", run, 0.95, 10, "character")


def test_a_short_run_tells_nothing():
    table = judged(run_of(epochs=range(1, 5), dropped=()))
    assert len(table) == len(CLAIMS) and set(table["verdict"]) == {NOT_TESTABLE}
    assert set(table["because"]) == {"the run has 4 epochs; 5 are the least"}


@pytest.mark.parametrize(
    ("dropped", "reason"), [([], "never dropped"), ([1], "no course before"), ([8, 9], "epoch 8 of 9: too late")]
)
def test_a_trend_from_the_drop_needs_a_drop_with_epochs_on_both_sides(dropped, reason):
    verdict, because, _ = judge(BY_ID["input words: rise from the first drop"], run_of(dropped=dropped))
    assert verdict == NOT_TESTABLE and reason in because


def test_an_effect_that_is_not_there_cannot_stay_after_matching():
    for level, change in (("matched: closed has sparser ∇h²", "mean"), ("matched: closed is ahead early", "pearson")):
        value = but(role="target", tensor="grad_h_2", words="closed", statistic=change, to=0.01)
        verdict, because, _ = judge(BY_ID[level], run_of(value))
        assert verdict == NOT_TESTABLE and because.startswith("the whole classes do not show it")


def test_an_interval_that_rules_an_effect_out_refutes_and_a_wide_one_does_not():
    claim = BY_ID["target words: ∇h² more than h²"]
    value = but(role="target", tensor="h_2", words="all", epoch=9, to=0.55)  # as ∇h²: no difference
    for width, expected in ((0.09, NOT_REPRODUCED), (0.11, NOT_TESTABLE)):
        assert judge(claim, run_of(value, width=width))[0] == expected


def test_the_extreme_is_the_one_that_speaks_most_against():
    value = but(role="input", tensor="grad_h_1", epoch=5, to=-0.07)
    [item] = judge(BY_ID["input words: not the gradients"], run_of(value))[2]
    assert item.what == "ρ→(∇h¹), epoch 5 (extreme of 36)"
    assert (item.value, item.low, item.high, item.n, item.holds) == (-0.07, -0.08, pytest.approx(-0.06), 500, "yes")


# ---- The command and the figure


@pytest.fixture
def products(tmp_path):
    """The files of a run in which one claim fails and one cannot be told."""
    metadata = {"statistics": {"resamples": 1000, "level": 0.95, "seed": 1}}
    for frame, name in zip(tables(REFUTED["target words: strongly ∇h²"]), ("c", "d"), strict=True):
        write_parquet(tmp_path / f"{name}.parquet", frame, metadata)
    for epoch in EPOCHS:
        row = {
            "seed": 1,
            "epoch": epoch,
            "learning_rate_in": 20,
            "learning_rate_out": 20,
            "train_loss": 5,
            "dev_loss": 5,
        }
        write_json(tmp_path / f"{epoch}.json", row)
    return tmp_path


def command(folder):
    given = [
        "--correlations",
        "c.parquet",
        "--differences",
        "d.parquet",
        "--csv",
        "claims.csv",
        "--markdown",
        "claims.md",
    ]
    paths = [str(folder / part) if "." in part else part for part in given]
    return ["claims", *paths, "--run", "a/b/seed1", "--checkpoints", *(str(folder / f"{e}.json") for e in EPOCHS)]


def test_the_table_for_machines_and_for_readers(products):
    main(command(products))
    table = pd.read_csv(products / "claims.csv", keep_default_na=False)
    verdicts = table.drop_duplicates("claim").set_index("claim")["verdict"]
    assert list(verdicts.index) == [claim.id for claim in CLAIMS]
    assert verdicts["target words: strongly ∇h²"] == NOT_REPRODUCED
    assert verdicts["input words: rise from the first drop"] == NOT_TESTABLE
    assert (verdicts == REPRODUCED).sum() == len(CLAIMS) - 2
    assert (table["because"] != "").equals(table["verdict"] == NOT_TESTABLE)
    row = table[table["claim"] == "target words: strongly ∇h²"].iloc[0]
    assert (float(row["value"]), row["n"], float(row["above"]), row["holds"]) == (0.25, "500", 0.3, "no")
    text = (products / "claims.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(lines) == 2 + len(CLAIMS) and all(line.replace("\\|", "").count("|") == 5 for line in lines)
    assert "**not testable here**, because the learning rate never dropped |" in text
    assert "ρ←(∇h²), epoch 9 = 0.25 [0.24, 0.26], n = 500: > 0.3? no | **not reproduced** |" in text
    assert "a/b/seed1" in lines[0] or "a/b/seed1" in text.splitlines()[0]


def test_tables_that_do_not_belong_together_are_refused(products):
    write_json(products / "9.json", json.loads((products / "9.json").read_text()) | {"epoch": 10})
    with pytest.raises(SystemExit, match="--checkpoints: none of epoch 9"):
        main(command(products))
    other = {"statistics": {"resamples": 200, "level": 0.95, "seed": 1}}
    write_parquet(products / "d.parquet", pd.read_parquet(products / "d.parquet"), other)
    with pytest.raises(SystemExit, match=r"d\.parquet: not made together with .*c\.parquet"):
        main(command(products))
    correlations, differences = tables(as_in_the_paper)
    with pytest.raises(UserError, match="repeats"):
        Run(pd.concat([correlations, correlations]), differences, [])


def drawn(folder) -> Figure:
    main(command(folder))
    with Style().applied():
        result = figure.draw(figure.table([folder / "claims.csv"]), Style())
        result.draw_without_rendering()
    return result


def test_the_figure_shows_every_value_interval_and_verdict(products):
    result = drawn(products)
    table = pd.read_csv(products / "claims.csv")
    ax = result.axes[0]
    points = {str(line.get_gid()): line for line in ax.get_lines() if ": " in str(line.get_gid())}
    evidence = table.dropna(subset="value")
    assert len(points) == len(evidence) == 19
    assert [line.get_xdata()[0] for line in points.values()] == evidence["value"].tolist()
    intervals = [line.get_xdata() for line in ax.get_lines() if len(line.get_xdata()) == 2][: len(evidence)]
    np.testing.assert_allclose(
        sorted(map(tuple, intervals)), sorted(zip(evidence["low"], evidence["high"], strict=True))
    )
    texts = [text.get_text() for text in ax.texts]
    for verdict, count in table.drop_duplicates("claim")["verdict"].value_counts().items():
        assert texts.count(verdict) == count
    assert "the learning rate never dropped" in texts
    # Neither text nor axis leaves the figure, and names end before the axis begins.
    inside = ax.get_window_extent()
    for text in ax.texts:
        box = text.get_window_extent()
        assert result.bbox.x0 <= box.x0 and box.x1 <= result.bbox.x1 and box.y1 <= result.bbox.y1
        if text.get_ha() == "right" and text.get_text() in set(evidence["evidence"]):
            assert box.x1 < inside.x0
    looks = {(line.get_marker(), line.get_color()) for line in points.values()}
    assert len(looks) == 2


def test_the_figures_command_writes_what_it_drew_and_the_same_bytes_again(products):
    main(command(products))
    contents = []
    for name in ("one", "two"):
        main(["draw", "claims", "--claims", f"{products}/claims.csv", "--output", f"{products}/{name}"])
        contents.append([(products / f"{name}.{kind}").read_bytes() for kind in ("csv", "pdf", "png")])
    assert contents[0] == contents[1]
    table = pd.read_csv(products / "claims.csv")
    pd.testing.assert_frame_equal(pd.read_csv(products / "one.csv"), table[figure.COLUMNS], check_exact=True)


def test_several_seeds_share_the_lines_and_their_verdicts_are_counted(products):
    main(command(products))
    other = pd.read_csv(products / "claims.csv")
    changed = other["claim"] == "target words: strongly ∇h²"
    other.loc[changed, ["verdict", "value", "holds"]] = [REPRODUCED, 0.75, "yes"]
    other.to_csv(products / "other.csv", index=False)
    table = figure.table([products / "claims.csv", products / "other.csv", products / "claims.csv"])
    with Style().applied():
        result = figure.draw(table, Style())
        result.draw_without_rendering()
    ax = result.axes[0]
    texts = [text.get_text() for text in ax.texts]
    assert "1 reproduced, 2 not reproduced" in texts
    assert texts.count("3 reproduced") == len(CLAIMS) - 2
    points = [line for line in ax.get_lines() if str(line.get_gid()).startswith("target words: strongly ∇h²")]
    assert sorted(line.get_xdata()[0] for line in points) == [0.25, 0.25, 0.75]
    assert len({line.get_ydata()[0] for line in points}) == 3
    assert "0.42 [0.25, 0.75], 3 seeds" in texts
    (products / "short.csv").write_text(pd.read_csv(products / "claims.csv")[:3].to_csv(index=False))
    with pytest.raises(UserError, match=r"short\.csv: has other claims"):
        figure.table([products / "claims.csv", products / "short.csv"])


def test_the_figure_of_a_run_without_any_evidence(products):
    for name in ("c", "d"):
        path = products / f"{name}.parquet"
        frame = pd.read_parquet(path).assign(n=3)
        write_parquet(path, frame, {"statistics": {"resamples": 1000, "level": 0.95, "seed": 1}})
    result = drawn(products)
    texts = [text.get_text() for text in result.axes[0].texts]
    assert texts.count(NOT_TESTABLE) == len(CLAIMS)


def test_a_file_that_is_no_claims_table_is_refused(tmp_path):
    (tmp_path / "x.csv").write_text("claim,verdict\na,reproduced\n")
    with pytest.raises(UserError, match=r"x\.csv: no claims table"):
        figure.table([tmp_path / "x.csv"])
