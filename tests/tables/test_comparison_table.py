"""Runs side by side: each value where it belongs, and files that do not belong together refused."""

import math

import numpy as np
import pandas as pd
import pytest

from example_products import VOCABULARY, describe_depth, write_correlations, write_state
from natural_sparsity.cli import main
from natural_sparsity.files import read_digest, read_json, read_metadata, write_json, write_parquet
from natural_sparsity.tables import comparison

RUNS = [
    ("wiki", "lstm", 1, "frozen"),
    ("wiki", "lstm", 2, "frozen"),
    ("wiki", "lstm", 1, "dev"),
    ("news", "gru", 1, "dev"),
]
TENSORS = describe_depth(2)
EPOCHS = [0, 1, 2, 3]
KINDS = {"correlations": "parquet", "claims": "claims", "checkpoints": "json", "summaries": "summary"}
COUNTED = ["reproduced", "not reproduced", "undecided", "not testable here", "also untrained", "also without language"]


VERDICTS = [("wiki", "lstm", "frozen"), ("wiki", "lstm", "dev"), ("news", "gru", "dev")]


def rho(i, epoch, tensor, measure, tensors=TENSORS):
    """A value that names its place."""
    return i / 10 + epoch / 100 + tensors.index(tensor) / 1000 + (measure == "gini") / 2


def write_run(folder, i, data, model, seed, condition, tensors=TENSORS):
    """The products of one run: values that name their place; decoys elsewhere."""
    axes = [EPOCHS, ["target", "input"], tensors, ["chi", "gini", "l1"], ["all", "open"], ["pearson", "spearman"]]
    names = ["epoch", "role", "tensor", "measure", "words", "statistic"]
    frame = pd.MultiIndex.from_product(axes, names=names).to_frame(index=False)
    right = (frame["role"] == "target") & (frame["words"] == "all") & (frame["statistic"] == "pearson")
    places = frame[["epoch", "tensor", "measure"]].itertuples(index=False)
    frame["value"] = np.where(right, [rho(i, *place, tensors) for place in places], 9.0)
    frame = frame.assign(low=frame["value"] - 0.1, high=frame["value"] + 0.2, n=7)
    run = {"data": data, "model": model, "seed": seed}
    write_correlations(folder / f"{i}.parquet", frame, **run, condition=condition)
    write_state(folder / f"{i}.json", **run, epoch=3, train_loss=2.0 + i, dev_loss=3.0 + i)
    sizes = {"vocabulary": 1000 + i, "train_tokens": 50_000 + i}
    write_json(
        folder / f"{i}.summary", {**sizes, "made_from": {"vocabulary": VOCABULARY}, "streams": {"train": "tokens"}}
    )
    verdicts = ["reproduced"] * i + ["not reproduced", "not reproduced", "undecided", "not testable here"]
    claims = [{"claim": f"c{k}", "verdict": verdict, "also": ""} for k, verdict in enumerate(verdicts)]
    if i:
        claims[0]["also"] = "also without language"
    claims = pd.DataFrame(claims + claims[-1:])  # two pieces of evidence
    about = read_metadata(folder / f"{i}.parquet")
    write_parquet(folder / f"{i}.claims", claims, {**about, "statistics": {}})


def write_verdicts(folder, run, seeds, rows):
    """Claims over ``seeds`` of a run, given by the numbers of their files."""
    head = {"claim": "", "verdict": "", "also": "", "seeds_also": "", "seeds": len(seeds)}
    head |= {**dict.fromkeys(COUNTED[:4], 0), "shown": True, "quantifier": "all", "holds": "yes", "evidence": "ρ"}
    head |= {"value": np.nan, "low": np.nan, "high": np.nan, "above": 0.1, "below": np.inf}
    data, model, condition = run
    claims = {f"{i}.claims": read_digest(folder / f"{i}.claims") for i in seeds}
    about = {"data": data, "model": model, "condition": condition, "claims": claims}
    path = folder / f"{data}-{model}-{condition}.verdicts"
    write_parquet(path, pd.DataFrame([head | row for row in rows]), about)


@pytest.fixture
def folder(tmp_path):
    for i, run in enumerate(RUNS):
        write_run(tmp_path, i, *run)
    interval = {"value": 0.234, "low": 0.05, "high": 0.4}
    decided = {"claim": "c0", "reproduced": 1, "undecided": 1, "verdict": "undecided", "seeds_also": "1 also untrained"}
    premise = {"value": 0.7, "quantifier": "premise", "evidence": "another"}
    level = premise | {"quantifier": "condition"}
    shown = [
        decided | interval | premise,
        decided | interval | level,
        decided | interval | {"holds": "open"},
        decided | interval | {"shown": False, "value": 9.0},
    ]
    write_verdicts(tmp_path, VERDICTS[0], [0, 1], [*shown, {"claim": "c1", "not testable here": 2}])
    write_verdicts(tmp_path, VERDICTS[1], [2], [{"claim": "c0", "reproduced": 1, "value": 0.3, "seeds_also": ""}])
    write_verdicts(tmp_path, VERDICTS[2], [3], [{"claim": "c2", "not reproduced": 1}])
    return tmp_path


@pytest.mark.parametrize(
    ("premise", "condition", "effect", "chosen"),
    [
        ("yes", "yes", "yes", "effect"),
        ("yes", "open", "open", "effect"),
        ("yes", "no", "open", "condition"),
        ("yes", "yes", "no", "effect"),
        ("open", "no", "no", "premise"),
    ],
)
def test_the_value_that_decides_is_shown(premise, condition, effect, chosen):
    holds = {"premise": premise, "condition": condition, "effect": effect}
    quantifiers = ["premise", "condition", "all"]
    rows = pd.DataFrame({"quantifier": quantifiers, "holds": [*holds.values()], "evidence": [*holds]})
    assert comparison.choose_value(rows)["evidence"] == chosen


def command(folder, more=0, **changed):
    runs = range(len(RUNS) + more)
    files = {kind: [f"{folder}/{i}.{suffix}" for i in runs] for kind, suffix in KINDS.items()}
    files |= {"verdicts": sorted(folder.glob("*.verdicts"))} | changed
    arguments = [str(part) for kind, paths in files.items() for part in (f"--{kind}", *paths)]
    return ["tabulate", "comparison", *arguments, "--title", "Runs side by side", "--output", f"{folder}/out"]


def test_every_row_has_its_own_runs_numbers(folder):
    main(command(folder))
    table = pd.read_csv(folder / "out.csv")
    assert len(table) == 2 * len(RUNS)
    for i, names in enumerate(RUNS):
        for measure in ("chi", "gini"):
            match = table[(table[["data", "model", "seed", "condition"]] == list(names)).all(axis=1)]
            row = match[match["measure"] == measure].iloc[0]
            assert row["grad_h_L_first"] == pytest.approx(rho(i, 1, "grad_h_2", measure))
            assert row["grad_h_L_last"] == pytest.approx(rho(i, 3, "grad_h_2", measure))
            assert row["h_L_last_low"] == pytest.approx(rho(i, 3, "h_2", measure) - 0.1)
            assert row["grad_x_last_high"] == pytest.approx(rho(i, 3, "grad_x", measure) + 0.2)
            assert (row["types"], row["train_tokens"], row["epochs"], row["layers"]) == (1000 + i, 50_000 + i, 3, 2)
            assert row["dev_perplexity"] == pytest.approx(math.exp(3 + i))
            verdicts = row[COUNTED]
            assert verdicts.tolist() == [i, 2, 1, 1, 0, int(i > 0)] if measure == "chi" else verdicts.isna().all()
    text = (folder / "out.md").read_text(encoding="utf-8")
    lines = [line for line in text.split("**Claims")[0].splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(table) and {line.count("|") for line in lines} == {14}
    assert "| ρ←(∇h²) first | ρ←(∇h²) last | ρ←(h²) last | ρ←(∇x) last |" in lines[0]
    assert "| wiki/lstm, seed 2 | frozen | chi | 1,001 | 50,001 | 3 | 20.1 / 54.6 | 0.12 [0.02, 0.32] | " in lines[4]
    assert lines[4].endswith("| 1 / 2 / 1 / 1 | 0 / 1 / 0 |")


def test_claims_over_seeds_stand_beside_each_other(folder):
    """On the page too, whose other table has no row for them."""
    main(command(folder))
    lines = [line for line in (folder / "out.md").read_text(encoding="utf-8").splitlines() if line.startswith("| c")]
    assert lines == [
        "| claim | news/gru, dev | wiki/lstm, dev | wiki/lstm, frozen |",
        "| c2 | 1 not reproduced |  |  |".replace("1 not", "not"),
        "| c0 |  | reproduced | 1 reproduced, 1 undecided (1 also untrained); over 2 seeds **undecided**,"
        " ρ = 0.23 [0.05, 0.40] |",
        "| c1 |  |  | 2 not testable |",
    ]
    page = (folder / "out.html").read_text(encoding="utf-8")
    assert "over 2 seeds <b>undecided</b>, ρ = 0.23 [0.05, 0.40]" in page and "**" not in page


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda paths: paths[1:], r"--verdicts: none of news/gru, dev; give one for each data, model and condition"),
        (lambda paths: [*paths, paths[0]], r"news-gru-dev\.verdicts: a second file of news/gru, dev"),
        (lambda paths: [paths[0].with_name("0.claims"), *paths], r"0\.claims: its metadata has no 'claims'"),
    ],
)
def test_verdicts_of_each_run_are_needed_once(folder, change, message):
    with pytest.raises(SystemExit, match=message):
        main(command(folder, verdicts=change(sorted(folder.glob("*.verdicts")))))


def test_verdicts_of_other_claims_are_refused(folder):
    write_verdicts(folder, VERDICTS[0], [0], [{"claim": "c0"}])
    with pytest.raises(SystemExit, match=r"frozen\.verdicts: not made of the --claims of wiki/lstm, frozen"):
        main(command(folder))


@pytest.mark.parametrize("layers", [1, 3])
def test_models_of_any_depth_are_compared_at_their_top_layer(folder, layers):
    tensors = describe_depth(layers)
    write_run(folder, len(RUNS), "wiki", "deep", 1, "frozen", tensors)
    write_verdicts(folder, ("wiki", "deep", "frozen"), [len(RUNS)], [{"claim": "c0", "reproduced": 1}])
    main(command(folder, more=1))
    row = pd.read_csv(folder / "out.csv").query("model == 'deep' and measure == 'chi'").squeeze()
    i = len(RUNS)
    assert row["layers"] == layers
    assert row["grad_h_L_last"] == pytest.approx(rho(i, 3, f"grad_h_{layers}", "chi", tensors))
    assert row["h_L_last"] == pytest.approx(rho(i, 3, f"h_{layers}", "chi", tensors))
    assert "| ρ←(∇hᴸ) first | ρ←(∇hᴸ) last | ρ←(hᴸ) last |" in (folder / "out.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"checkpoints": ["0.json", "0.json", "2.json", "3.json"]},
            r"0\.json: is not of wiki/lstm, seed 2 and",
        ),
        ({"claims": ["0.claims"]}, "4, 1, 4, 4 files; give as many of each kind"),
        ({kind: [f"0.{suffix}"] * 2 for kind, suffix in KINDS.items()}, "wiki/lstm/1/frozen/chi is given twice"),
        ({"claims": ["0.json", "1.claims", "2.claims", "3.claims"]}, r"0\.json: not a readable Parquet file"),
        (
            {"claims": ["2.claims", "1.claims", "0.claims", "3.claims"]},
            r"2\.claims: its condition is 'dev', expected 'frozen'",
        ),
    ],
)
def test_what_does_not_belong_together_is_refused(folder, changed, message):
    changed = {kind: [f"{folder}/{name}" for name in names] for kind, names in changed.items()}
    with pytest.raises(SystemExit, match=message):
        main(command(folder, **changed))
    assert not (folder / "out.csv").exists()


@pytest.mark.parametrize("key", ["words", "checkpoints", "probe"])
def test_claims_of_other_probes_are_refused(folder, key):
    path = folder / "1.claims"
    write_parquet(path, pd.read_parquet(path), {**read_metadata(path), key: "others"})
    with pytest.raises(SystemExit, match=rf"1\.claims: does not belong to .*1\.parquet \(different {key}\)"):
        main(command(folder))


def test_a_perplexity_that_no_double_can_hold_is_infinite(folder):
    state = read_json(folder / "0.json")
    write_json(folder / "0.json", {**state, "train_loss": 1e30})
    main(command(folder))
    assert pd.read_csv(folder / "out.csv")["train_perplexity"].iloc[0] == math.inf
