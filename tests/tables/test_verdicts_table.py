"""Verdicts over seeds: in how many a claim holds, means with t intervals, and the verdict on these."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from example_claims import REFUTED, as_in_the_paper, but_gradient, make_run, write_claims
from example_products import tabulate
from natural_sparsity.analysis.claims import CLAIMS
from natural_sparsity.analysis.rules import (
    ALSO_SHUFFLED,
    ALSO_UNTRAINED,
    NOT_REPRODUCED,
    NOT_TESTABLE,
    REPRODUCED,
    UNDECIDED,
    UNDECIDED_SHUFFLED,
)
from natural_sparsity.cli import main
from natural_sparsity.errors import UserError
from natural_sparsity.tables import verdicts

NAME = "target words: strongly ∇h²"


def join(*paths):
    return tabulate(verdicts, claims=list(paths))


def of(table, name=NAME):
    return table.frame[table.frame["claim"] == name]


@pytest.fixture
def write(tmp_path):
    """A function that writes the claims of the next seed; ``level`` is its ρ←(∇h²) after the last epoch."""
    made = []

    def write_next(level=None, **options):
        if level is not None:
            options["value"] = but_gradient("all", level, epoch=9)
        made.append(write_claims(tmp_path / f"claims{len(made)}.parquet", len(made) + 1, **options))
        return made[-1]

    return write_next


def test_the_mean_over_seeds_has_a_t_interval(write):
    levels = [0.52, 0.55, 0.61]
    table = join(*map(write, levels))
    row = of(table).iloc[0]
    expected = scipy.stats.t.interval(0.95, 2, np.mean(levels), scipy.stats.sem(levels))
    assert row["value"] == pytest.approx(np.mean(levels)) and (row["low"], row["high"]) == pytest.approx(expected)
    assert (row["low_all"], row["high_all"]) == pytest.approx(expected)  # the claim's one value
    assert (row["verdict"], row["seeds"], row[REPRODUCED], row[NOT_REPRODUCED]) == (REPRODUCED, 3, 3, 0)
    assert row["untrained"] == pytest.approx(np.mean(levels))
    line = next(line for line in table.grids[0].rows if "∇h² correlates strongly" in line[0])
    assert line[2] == "3 reproduced" and line[4] == f"**{REPRODUCED}**"
    assert line[3].startswith("ρ←(∇h²), epoch 9 = 0.56 [0.45, 0.67]: > 0.3? yes; minus untrained: 0.56 [")


def test_seeds_may_differ_in_their_verdicts(write):
    table = join(write(0.5), write(0.5), write(0.1))
    row = of(table).iloc[0]
    assert (row[REPRODUCED], row[NOT_REPRODUCED], row["verdict"]) == (2, 1, UNDECIDED)
    assert row["because"].startswith("ρ←(∇h²), epoch 9 = 0.37 [")
    line = next(line for line in table.grids[0].rows if "∇h² correlates strongly" in line[0])
    assert line[2] == "2 reproduced<br>1 not reproduced"


def test_seeds_that_agree_refute(write):
    row = of(join(write(0.2), write(0.21), write(0.19))).iloc[0]
    assert (row["verdict"], row[NOT_REPRODUCED]) == (NOT_REPRODUCED, 3)


def test_several_values_are_refuted_at_once_by_bonferroni(write):
    table = join(write(0.5), write(0.55), write(0.6))
    rows = of(table, "target words: ∇h² more than h²")
    levels = [0.5, 0.55, 0.6]
    expected = scipy.stats.t.interval(1 - 0.05 / 2, 2, np.mean(levels), scipy.stats.sem(levels))
    assert len(rows) == 2 and tuple(rows.iloc[0][["low_all", "high_all"]]) == pytest.approx(expected)


def test_one_seed_is_one_draw(write):
    table = join(write(0.5))
    assert set(table.frame["verdict"]) == {"", *of(table, "text: frequent words are function words")["verdict"]}
    assert "This is one draw" in table.introduction and of(table)["low"].isna().all()
    line = next(line for line in table.grids[0].rows if "∇h² correlates strongly" in line[0])
    assert line[2:] == ["1 reproduced", "ρ←(∇h²), epoch 9 = 0.500", "**one draw**"]


def test_what_is_said_beside_verdicts_is_counted(write):
    empty = make_run(value=lambda *key: 0.0)
    table = join(*(write(control=control) for control in (make_run(), empty, make_run())))
    assert set(of(table)["seeds_also"]) == {"2 also without language"}
    assert of(table).iloc[0]["shuffled"] == pytest.approx(of(table).iloc[0]["value"] / 3)


@pytest.mark.parametrize(
    ("shuffled", "expected"),
    [
        # Each seed's control has .15 less, give or take .01: real text has more of the effect.
        ([0.36, 0.40, 0.44], ""),
        # As much, and above .3 in all: the effect is there without language.
        ([0.52, 0.54, 0.60], ALSO_SHUFFLED),
        # From .15 to .55: neither shown to be there, nor to be less.
        ([0.15, 0.40, 0.55], UNDECIDED_SHUFFLED),
    ],
)
def test_over_seeds_a_control_is_judged_by_its_own_t_intervals(write, shuffled, expected):
    real = [0.50, 0.56, 0.60]
    controls = [make_run(value=but_gradient("all", level, epoch=9)) for level in shuffled]
    table = join(*(write(level, control=control) for level, control in zip(real, controls, strict=True)))
    row = of(table).iloc[0]
    assert (row["verdict"], row["also"]) == (REPRODUCED, expected)
    # The same by scipy.
    less = scipy.stats.ttest_rel(real, shuffled).confidence_interval(0.95)
    own = scipy.stats.ttest_1samp(shuffled, 0).confidence_interval(0.95)
    assert (row["shuffled_low"], row["shuffled_high"]) == pytest.approx((less.low, less.high))
    assert row["in_shuffled"] == pytest.approx(np.mean(shuffled))
    assert expected == ("" if less.low > 0 else ALSO_SHUFFLED if own.low > 0.3 else UNDECIDED_SHUFFLED)
    line = next(line for line in table.grids[0].rows if "∇h² correlates strongly" in line[0])
    assert line[4] == f"**{', '.join(filter(None, (REPRODUCED, expected)))}**"


def test_over_seeds_one_difference_of_several_may_decide_but_bonferroni_widens_it(write):
    name = "target words: strong and increasing only ∇h²"  # ρ←(∇h²), and its rise
    real, shuffled = [0.50, 0.56, 0.60], [0.44, 0.505, 0.50]
    controls = [make_run(value=but_gradient("all", level, epoch=9)) for level in shuffled]
    table = join(*(write(level, control=control) for level, control in zip(real, controls, strict=True)))
    alone = scipy.stats.ttest_rel(real, shuffled)
    assert alone.confidence_interval(0.95).low > 0 > alone.confidence_interval(0.975).low
    assert set(of(table, name)["also"]) == {ALSO_SHUFFLED} and set(of(table)["also"]) == {""}


def test_over_seeds_only_the_claimed_effect_decides(write):
    """Shuffled text has .05 less, give or take .005, but as much of what frequent words have more than rare ones."""
    name = "target words: more so over frequent words"

    def lower(by):
        def value(*key):
            there = key[0] and key[1:3] == ("target", "grad_h_2") and key[5] == "pearson"
            return as_in_the_paper(*key) - (by if there else 0)

        return value

    table = join(*(write(control=make_run(value=lower(by))) for by in (0.045, 0.05, 0.055)))
    rows = of(table, name)
    assert set(rows["also"]) == {ALSO_SHUFFLED} and rows["seeds_also"].iloc[0] == f"3 {ALSO_SHUFFLED}"
    assert rows["shuffled"].isna().tolist() == [True, False] and rows["in_shuffled"].notna().all()
    assert set(of(table)["also"]) == {""}


def test_over_seeds_an_effect_of_the_untrained_model_is_no_finding_about_training(write):
    def level_from_the_start(*key):
        return but_gradient("all", 0.55)(9 if key[0] == 0 else key[0], *key[1:])

    table = join(*(write(value=level_from_the_start) for _ in range(3)))
    assert set(of(table)["also"]) == {ALSO_UNTRAINED} and of(table).iloc[0]["in_untrained"] == pytest.approx(0.55)


def test_over_seeds_what_no_control_shows_has_nothing_beside_it(write):
    table = join(write(0.1), write(0.1), write(0.5), write(0.55)).frame
    assert set(table.loc[table["verdict"] != REPRODUCED, "also"]) == {""}
    assert table["in_shuffled"].isna().all()
    one = join(write(0.5, control=make_run())).frame
    assert set(one["also"]) == {""}


def test_epochs_of_the_drop_that_differ_are_named_each(write):
    name = "input words: rise from the first drop"
    table = join(write(dropped=[4]), write(dropped=[5]), write(dropped=[]))
    rows = of(table, name)
    assert rows["evidence"].tolist()[0] == "ρ→(hᵉ), epoch 1 to 4 / ρ→(hᵉ), epoch 1 to 5"
    assert rows["n"].tolist() == [2] * 4 and rows["seeds"].tolist() == [3] * 4
    assert (rows.iloc[0][REPRODUCED] + rows.iloc[0][NOT_REPRODUCED], rows.iloc[0][NOT_TESTABLE]) == (2, 1)
    line = next(line for line in table.grids[0].rows if "upward trend" in line[0])
    assert "(2 of 3 seeds)" in line[3]


def test_a_claim_that_no_seed_can_test_has_no_value(write):
    table = join(write(dropped=[]), write(dropped=[]))
    rows = of(table, "input words: rise from the first drop")
    assert len(rows) == 1 and rows.iloc[0]["verdict"] == "" and rows.iloc[0][NOT_TESTABLE] == 2
    line = next(line for line in table.grids[0].rows if "upward trend" in line[0])
    assert line[2:] == ["2 not testable here", "none", "**fewer than two seeds have values**"]


@pytest.mark.parametrize("seeds", [1, 2])
def test_a_run_on_which_no_claim_is_testable_has_a_table(write, seeds):
    table = join(*(write(n=19) for _ in range(seeds)))
    assert list(table.frame["claim"]) == [claim.id for claim in CLAIMS]
    assert set(table.frame[NOT_TESTABLE]) == {seeds} and table.frame["value"].isna().all()
    assert {line[3] for line in table.grids[0].rows} == {"none"}


def test_a_premise_that_fails_over_seeds_makes_the_claim_not_testable(write):
    for name in ("matched: closed has sparser ∇h²", "paired: closed has sparser ∇h²"):
        options = REFUTED["classes: closed has sparser ∇h²"]
        rows = of(join(write(**options), write(**options)), name)
        assert set(rows["verdict"]) == {NOT_TESTABLE} and "what the claim rests on" in rows.iloc[0]["because"]


def test_every_claim_has_a_verdict_over_seeds(write):
    table = join(write(0.5), write(0.51), write(0.52))
    first = table.frame.drop_duplicates("claim")
    assert list(first["claim"]) == [claim.id for claim in CLAIMS] and set(first["verdict"]) == {REPRODUCED}
    assert len(table.grids[0].rows) == len(CLAIMS)
    assert (table.frame.groupby(["claim", "part"])["shown"].sum() == 1).all()


def test_on_characters_nothing_is_said_of_words(write):
    table = join(write(unit="character"), write(unit="character"))
    assert "single seeds; their intervals are over characters" in table.introduction
    assert "words" not in table.introduction
    with pytest.raises(UserError, match="unit is 'word', but in .* it is 'character'"):
        join(write(unit="character"), write())


def test_the_files_are_written_and_say_what_they_are_of(write, tmp_path):
    paths = [write(0.5), write(0.6)]
    main(["tabulate", "verdicts", "--claims", *map(str, paths), "--title", "Verdicts", "--output", f"{tmp_path}/v"])
    frame = pd.read_parquet(tmp_path / "v.parquet")
    assert frame[["data", "model", "condition"]].drop_duplicates().to_numpy().tolist() == [["corpus", "lstm", "frozen"]]
    text = (tmp_path / "v.md").read_text(encoding="utf-8")
    assert "on 2 seeds (1, 2)" in text and "95 % t intervals are over seeds" in text
    assert '<td class="good"><b>reproduced</b></td>' in (tmp_path / "v.html").read_text(encoding="utf-8")


def test_files_that_do_not_belong_together_are_refused(write, tmp_path):
    first = write(0.5)
    again = write_claims(tmp_path / "again.parquet", 1)
    with pytest.raises(UserError, match=r"again\.parquet: a second file of seed 1, besides .*claims0\.parquet"):
        join(first, again)
    with pytest.raises(UserError, match="a second file of seed 1, besides"):
        join(first, first)
    for key in ("words", "tokens", "probe", "vocabulary"):
        other = write_claims(tmp_path / "other.parquet", 2, about={key: "other"})
        with pytest.raises(UserError, match=rf"other\.parquet: {key} is 'other', but in .*claims0\.parquet it is"):
            join(first, other)
    with pytest.raises(UserError, match="control is 'mixed', but in .*claims0.parquet it is None"):
        join(first, write_claims(tmp_path / "other.parquet", 2, control=make_run()))
    with pytest.raises(UserError, match="has other claims than"):
        join(first, write(layers=3))
    with pytest.raises(UserError, match="has more values in one seed than in another; probe the same epochs"):
        join(first, write(epochs=range(8)))
