"""What benchmarks/growth.py makes of measurements."""

import importlib
import math
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def growth(monkeypatch):
    """The benchmark as a module."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    return importlib.import_module("growth")


def test_a_folder_of_another_run_is_refused(growth, tmp_path, monkeypatch):
    ran = []
    monkeypatch.setattr(growth.subprocess, "run", lambda *_, **__: ran.append(1) or Namespace(returncode=0))
    args = Namespace(cores=2, text_only=True)
    growth.run(tmp_path, {"shards": 4}, args)
    growth.run(tmp_path, {"shards": 4}, args)
    with pytest.raises(SystemExit, match="has a run with other settings; delete it, or give another --folder"):
        growth.run(tmp_path, {"shards": 2}, args)
    assert len(ran) == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--sizes", "2"], "--sizes: a line needs two sizes at least"),
        (["--sizes", "1", "2", "--gpu-train-tokens-per-s", "1e6"], "give both --gpu-train-tokens-per-s and"),
    ],
)
def test_options_that_give_no_line_are_refused(growth, monkeypatch, capsys, options, said):
    monkeypatch.setattr("sys.argv", ["growth.py", "a", "b", *options])
    monkeypatch.setattr(growth, "run", lambda *_: pytest.fail("ran"))
    with pytest.raises(SystemExit):
        growth.main()
    assert said in capsys.readouterr().err


def zipf(tokens, min_counts):
    """What the filter leaves of a text whose words and dropped tokens follow power laws of min_count / tokens."""
    rate = (np.array(min_counts) - 0.5) / tokens
    kept = tokens * (1 - np.minimum(20 * rate**0.3, 0.99))
    rows = zip(min_counts, kept, 0.01 / rate**0.9, strict=True)
    thresholds = [{"min_count": m, "tokens": kept, "types": types} for m, kept, types in rows]
    return {"thresholds": thresholds, "sizes": {"tokens": tokens}}


def test_a_line_is_found_and_says_how_far_it_is_off(growth):
    sizes = [{"jobs": 2, "tokens": n, "product": n * v} for n, v in [(1e6, 3), (2e6, 7), (4e6, 8), (6e6, 11)]]
    exact = [1.5 * size["jobs"] + 2e-6 * size["tokens"] + 1e-7 * size["product"] for size in sizes]
    fit = growth.fit_line(["jobs", "tokens", "product"], sizes, exact)
    assert fit["factors"] == pytest.approx({"jobs": 1.5, "tokens": 2e-6, "product": 1e-7})
    assert fit["residual"] < 1e-9
    assert growth.predict(fit, sizes[2]) == pytest.approx(exact[2])
    assert growth.fit_line(["jobs", "tokens"], sizes, [10, 1, 10, 1])["residual"] > 0.5


def test_a_power_law_is_found(growth):
    law = growth.fit_power([1e3, 1e4, 1e6], [7 * n**0.6 for n in (1e3, 1e4, 1e6)])
    assert growth.raise_power(law, 1e9) == pytest.approx(7 * 1e9**0.6)
    assert law["residual"] < 1e-9


def test_what_a_larger_text_leaves_follows_from_lower_counts(growth):
    small, large = zipf(1e6, [1, 2, 3, 5, 10, 20, 50]), zipf(2e7, [100])
    expected = growth.keep(small, 2e7, 100)
    assert expected["vocabulary"] == pytest.approx(large["thresholds"][0]["types"])
    assert expected["kept tokens"] == pytest.approx(large["thresholds"][0]["tokens"])
    assert growth.as_in_paper(small)["training tokens"] == 227e6
    # Beyond what was measured, the last piece is continued.
    assert growth.keep(small, 1e10, 100)["vocabulary"] == pytest.approx(zipf(1e10, [100])["thresholds"][0]["types"])


def test_more_machines_shorten_shards_and_not_the_chain_of_epochs(growth):
    line = {"factors": {"jobs": 1.0, "tokens": 1e-6}, "residual": 0.0}
    fits = {name: {"seconds": line, "mib": {"factors": {"at least": 300.0}}} for name in growth.GROWS_WITH}
    sizes = {"tokens": 1e9, "training tokens": 5e8, "vocabulary": 19_500, "types": 1e6, "documents": 1e6}
    types = {"factor": 10, "exponent": 0.6}

    def parts(workers, **more):
        machines = growth.Machines("", workers, **more)
        rates = {"train": 1e6, "probe": 4e6}
        return growth.plan(growth.in_shards(sizes, workers, types), fits, machines, rates)["parts"]

    few, many, gpu = parts(2), parts(200), parts(16, gpus=1)
    # The shards share the work on sentences and index; each pays for the start of its own job.
    assert few["before training"] - many["before training"] == pytest.approx(2 * (501 - 6))
    assert few["of it over all shards"] == many["of it over all shards"] == pytest.approx(3 * 1001)
    assert few["chain of epochs"] == many["chain of epochs"] == pytest.approx(50 * 1001)
    # One GPU takes training and probes in turn.
    assert gpu["with probes"] == pytest.approx(50 * (500 + 125))


def test_each_of_two_probes_takes_the_time_of_one(growth):
    """The untrained model is probed, too; the shards of a tagging job divide its text."""
    sizes = {"training tokens": 1e6, "vocabulary": 1e4, "types of a shard": 1}
    for name, expected in (("probe", 120), ("tag", 240)):
        measured = [
            {
                "sizes": {**sizes, "training tokens": n * 1e6},
                "stages": {name: {"jobs": 2, "seconds": 240 * n, "mib": 1}},
            }
            for n in (1, 2)
        ]
        fit = growth.fit_stage(name, measured)["seconds"]
        jobs = 2 if name == "tag" else 1
        found = growth.predict(fit, growth.with_products({**sizes, "jobs": jobs}))
        assert found == pytest.approx(expected, rel=1e-6), name


def test_a_job_too_short_for_its_memory_to_be_measured_is_left_out_of_the_fit(growth, tmp_path):
    for part, memory in (("a", "NA"), ("b", "300.0"), ("c", "NA")):
        path = tmp_path / f"results/data/growth/benchmarks/encode/{part}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"s\tmax_rss\n1.5\t{memory}\n")
    assert growth.read_benchmarks(tmp_path)["encode"] == {"jobs": 3, "seconds": 4.5, "mib": 300}
    sizes = [{"at least": 1, "tokens": tokens} for tokens in (10, 20, 30)]
    terms = ["at least", "tokens"]
    complete = growth.fit_line(terms, sizes, [50, 70, 90])
    assert complete["factors"] == pytest.approx({"at least": 30, "tokens": 2})
    without = growth.fit_line(terms, sizes, [50, math.nan, 90])
    assert without["factors"] == pytest.approx(complete["factors"])
    unmeasured = growth.fit_line(terms, sizes, [math.nan] * 3)
    assert all(math.isnan(value) for value in [*unmeasured["factors"].values(), unmeasured["residual"]])
