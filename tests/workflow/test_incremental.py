"""What a rerun does, proved by the jobs that Snakemake plans."""

import shutil

import pytest
import yaml
from harness import ROOT, TINY

RUN = "results/runs/tiny/small/seed1"
FROM_PROBES = {"correlate": 1, "draw_fig2": 1, "draw_fig3a": 1, "draw_fig3b": 1, "draw_fig4": 1, "draw_fig5": 1}
FROM_PROBES |= {"tabulate_claims": 1, "draw_claims": 1, "tabulate_verdicts": 1, "draw_emergence": 1}
FROM_PROBES |= {"tabulate_comparison": 1, "draw_comparison": 1}
FROM_PROBES |= {"gallery": 1, "acquire": 1, "tabulate_acquisition": 1, "draw_acquisition": 1}


def tiny(**changes):
    return {"data": {"tiny": changes}}


def test_a_second_run_does_nothing(finished):
    assert finished.planned() == {}


def turned(value):
    """``value`` with the keys of all its blocks in reverse order."""
    return {key: turned(value[key]) for key in reversed(value)} if isinstance(value, dict) else value


def test_keys_in_another_order_change_nothing(finished, tmp_path):
    other = tmp_path / "turned.yaml"
    blocks = turned(yaml.safe_load(TINY.read_text()))
    other.write_text(yaml.safe_dump(blocks, sort_keys=False))
    assert list(blocks["models"]["small"]) == ["training", "architecture"]
    assert finished.planned(configfile=other) == {}


def test_more_epochs_train_and_probe_only_the_new_ones(finished):
    changes = {"runs": [{"data": "tiny", "model": "small", "seeds": [1], "epochs": 5}]}
    expected = {"train": 3, "probe": 3, "draw_training": 1, **FROM_PROBES}
    assert finished.planned(changes=changes) == expected


def test_fewer_epochs_redraw_and_train_nothing(finished):
    planned = finished.planned(changes={"runs": [{"data": "tiny", "model": "small", "seeds": [1], "epochs": 1}]})
    assert planned == {"draw_training": 1, **FROM_PROBES}


def test_another_seed_leaves_the_text_and_the_first_seed_alone(finished):
    planned = finished.planned(changes={"runs": [{"data": "tiny", "model": "small", "seeds": [1, 2], "epochs": 2}]})
    assert planned == {"initialise": 1, "train": 2, "probe": 3, "draw_training": 1, **FROM_PROBES}


STYLED = ["fig2", "fig3a", "fig3b", "fig4", "fig5", "emergence", "acquisition", "claims", "training", "chi"]


@pytest.mark.parametrize("figure", STYLED)
def test_a_figures_style_redraws_that_figure_alone(finished, figure):
    assert finished.planned(changes={"figures": {figure: {"width": 4}}}) == {f"draw_{figure}": 1}


def test_a_threshold_redraws_its_figure_alone(finished):
    assert finished.planned(changes=tiny(thresholds={"fig2": 31})) == {"draw_fig2": 1}


def test_a_changed_probe_setting_retrains_nothing(finished):
    assert finished.planned(changes={"probes": {"frozen": {"dropout": True}}}) == {"probe": 3, **FROM_PROBES}


def test_another_probe_leaves_the_first_alone(finished):
    planned = finished.planned(changes={"probes": {"dev": {"split": "dev"}}})
    assert planned == {"probe": 3, **FROM_PROBES}


def test_a_run_has_the_probes_that_it_names(fresh):
    changes = {"probes": {"dev": {"split": "dev"}}}
    assert fresh.planned(changes=changes)["probe"] == 6
    runs = [{"data": "tiny", "model": "small", "seeds": [1], "epochs": 2, "probes": ["dev"]}]
    planned = fresh.planned(changes={**changes, "runs": runs})
    assert (planned["probe"], planned["draw_fig3a"]) == (3, 1)


def test_a_changed_learning_rate_leaves_the_text_alone(finished):
    planned = finished.planned(changes={"models": {"small": {"training": {"learning_rate": 4}}}})
    assert planned == {"initialise": 1, "train": 2, "probe": 3, "draw_training": 1, **FROM_PROBES}


def test_word_vectors_are_an_input_of_the_untrained_model(fresh, tmp_path):
    """A changed file is read again; each command is told which file it is."""
    path = tmp_path / "vectors.txt"
    path.write_text("1 8\nthe 1 2 3 4 5 6 7 8\n")
    changes = {"models": {"small": {"architecture": {"vectors": {"path": str(path), "format": "word2vec"}}}}}
    process = fresh.snakemake("--dry-run", "--printshellcmds", changes=changes)
    assert f"--vectors {path} --model small" in process.stdout + process.stderr
    path.unlink()
    process = fresh.snakemake("--dry-run", changes=changes)
    assert f"models.small.architecture.vectors.path: {path} does not exist; check the path" in process.stderr


def test_a_changed_min_count_reruns_from_the_filter_on(finished):
    planned = finished.planned(changes=tiny(min_count=4))
    assert not {"documents", "sentences", "index", "draw_chi"} & set(planned)
    assert {"filter", "split", "vocabulary", "encode", "tag", "words", "initialise", "train"} <= set(planned)


def test_a_changed_majority_rule_leaves_tags_and_training_alone(finished):
    planned = finished.planned(changes=tiny(tagging={"min_tagged": 4}))
    # Figures 2 and 5 read the words table too.
    assert planned == {"words": 1, **FROM_PROBES}


def test_other_intervals_are_from_the_probes_there_are(finished):
    planned = finished.planned(changes={"statistics": {"resamples": 200}})
    assert planned == {name: n for name, n in FROM_PROBES.items() if name not in ("draw_fig2", "draw_fig5")}


@pytest.mark.parametrize("change", [{"device": "auto"}, {"save_interval_s": 7}])
def test_where_and_how_often_it_is_saved_rerun_nothing(finished, change):
    assert finished.planned(changes=change) == {}


def test_a_deleted_probe_is_made_again_with_what_depends_on_it(copied):
    (copied.folder / RUN / "epoch1/frozen.parquet").unlink()
    # Figure 5 shows the last epoch alone.
    assert copied.planned() == {"probe": 1, **{name: n for name, n in FROM_PROBES.items() if name != "draw_fig5"}}


@pytest.mark.parametrize(
    ("figure", "needs"),
    [("fig2", {"probe", "words"}), ("fig5", {"probe", "words"}), ("training", set()), ("fig4", {"correlate"})]
    + [("claims", {"probe", "tabulate_claims"}), ("acquisition", {"probe", "acquire"})],
)
def test_a_figure_by_name_needs_only_its_own(fresh, figure, needs):
    planned = fresh.planned(figure)
    assert needs <= set(planned)
    assert [name for name in planned if name.startswith("draw_")] == [f"draw_{figure}"]
    if figure == "training":
        assert not {"probe", "tag", "correlate"} & set(planned)


def test_several_epochs_in_a_job(fresh):
    """Five epochs: three jobs of two, two and one train them, two of three and two probe them and the untrained one."""
    runs = [{"data": "tiny", "model": "small", "seeds": [1, 2], "epochs": 5}]
    planned = fresh.planned(changes={"runs": runs, "epochs_per_job": {"train": 2, "probe": 3}})
    trained = {name.removeprefix("train_tiny_small_"): n for name, n in planned.items() if "train_" in name}
    probed = {name.removeprefix("probe_tiny_small_"): n for name, n in planned.items() if "probe" in name}
    assert trained == {"1_to_2": 2, "3_to_4": 2, "5_to_5": 2}
    assert probed == {"init_to_3": 2, "4_to_5": 2}


def run_of(**changes):
    return {"data": "tiny", "model": "small", "seeds": [1], "epochs": 2, **changes}


FROM_FIRST_EPOCH = {"correlate_first_epoch", "draw_emergence", "acquire", "tabulate_acquisition", "draw_acquisition"}


def test_checkpoints_inside_the_first_epoch_retrain_nothing(finished):
    """Correlations, claims and the paper's figures stay as they are."""
    planned = finished.planned(changes={"runs": [run_of(first_epoch_checkpoints=3)]})
    again = {"retrace_tiny_small_step1_to_step4": 1, "probe": 3}
    assert planned == {**again, **dict.fromkeys(FROM_FIRST_EPOCH, 1)}


def test_a_control_leaves_the_run_on_the_text_alone(finished):
    """The text's own products are made again only where the control is drawn or judged beside them."""
    mixed = {"mixed": {"kind": "shuffled", "of": "tiny"}}
    planned = finished.planned(changes={"data": mixed, "runs": [run_of(), run_of(data="mixed")]})
    compared = {"tabulate_claims", "tabulate_verdicts", "draw_claims", "draw_fig3a", "draw_fig3b", "draw_fig4"}
    compared |= {"draw_emergence"}
    expected = {"shuffle": 1, "words": 1, "initialise": 1, "train": 2, "probe": 3, "draw_training": 1}
    expected |= {name: 2 if name in compared else 1 for name in FROM_PROBES}
    assert planned == expected


def test_a_changed_majority_rule_leaves_the_control_alone_too(copied):
    changes = {"data": {"mixed": {"kind": "shuffled", "of": "tiny"}}, "runs": [run_of(), run_of(data="mixed")]}
    copied.run("results/runs/mixed/small/seed1/epoch1/state.json", changes=changes)
    changes["data"] |= tiny(tagging={"min_tagged": 4})["data"]
    planned = copied.planned(changes=changes)
    assert (planned["words"], planned["train"]) == (2, 1), "the second epoch of the control was not trained yet"
    assert not {"shuffle", "initialise", "tag"} & set(planned)


def test_another_order_of_the_control_leaves_the_text_alone(fresh):
    mixed = {"mixed": {"kind": "shuffled", "of": "tiny", "within": "document"}}
    changes = {"data": mixed, "runs": [run_of(), run_of(data="mixed")]}
    target = "results/data/mixed/summary.json"
    fresh.run(target, changes=changes)
    assert fresh.planned(target, changes=changes) == {}
    assert "shuffle" not in fresh.planned("results/data/tiny/summary.json", changes=changes)
    mixed["mixed"]["seed"] = 2
    assert fresh.planned(target, changes=changes) == {"shuffle": 1}


def test_a_product_by_file_name(fresh):
    planned = fresh.planned("results/data/tiny/vocabulary.parquet")
    assert planned == {"documents": 1, "sentences": 2, "index": 2, "filter": 1, "split": 1, "vocabulary": 1}


def test_the_papers_experiment_is_fifty_epochs(fresh):
    planned = fresh.planned(configfile=ROOT / "experiments/wikipedia.yaml")
    assert planned["train"] == 50
    assert planned["probe"] == 51
    assert planned["obtain"] == 1


def test_a_changed_file_of_a_folder_is_read_again(fresh):
    folder = fresh.folder / "texts/deep"
    folder.mkdir(parents=True)
    for i in range(30):
        (folder / f"{i}.txt").write_text(f"Text number {i} is short.")
    block = {"source": {"path": "texts"}, "format": "text", "min_count": 1}
    changes = {"data": {"mine": block}, "runs": [{"data": "mine", "model": "small"}]}
    target = "results/data/mine/documents"
    fresh.run(target, changes=changes)
    assert fresh.planned(target, changes=changes) == {}
    (folder / "7.txt").write_text("Another text.")
    assert fresh.planned(target, changes=changes) == {"documents": 1}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project, so that the real one is left alone."""
    left_out = shutil.ignore_patterns(".*", "results", "tests", "__pycache__", "*.egg-info")
    return shutil.copytree(ROOT, tmp_path_factory.mktemp("copy") / "project", ignore=left_out)


@pytest.fixture
def replanned(finished, project):
    """What is planned after files of the copy have got one more line each."""
    environment = {"PYTHONPATH": str(project / "src")}

    def plan(*names, line="CHANGED = 1"):
        before = {path: path.read_text() for path in (project / "src/natural_sparsity" / name for name in names)}
        for path, text in before.items():
            path.write_text(f"{text}\n{line}\n")
        try:
            return finished.planned(root=project, environment=environment)
        finally:
            for path, text in before.items():
                path.write_text(text)

    return plan


def test_changed_code_runs_its_step_again_and_a_comment_does_not(replanned):
    assert replanned("probing/measures.py", line="# a comment") == {}
    assert replanned("probing/measures.py") == {"probe": 3, **FROM_PROBES}


def test_changed_code_that_a_run_does_not_use_plans_nothing(replanned):
    """Kinds of data, methods, settings, figures and tables that it does not have; what finds these, and what writes."""
    of_other_runs = ["data/classification.py", "corpus/labelled.py", "methods/lottery.py", "figures/lottery.py"]
    of_other_runs += ["tables/lottery.py", "config/data/classification.py", "config/methods/moduli.py"]
    assert replanned(*of_other_runs, "registry.py", "figures/draw.py", "tables/tabulate.py", "files.py") == {}


@pytest.mark.parametrize(
    ("changed", "planned"),
    [
        (["data/text.py"], {"initialise": 1, "train": 2, "probe": 3, "draw_training": 1, **FROM_PROBES}),
        (
            ["figures/fig2.py", "figures/fig3.py", "tables/comparison.py"],
            {"draw_fig2": 1, "draw_fig3a": 1, "draw_fig3b": 1, "tabulate_comparison": 1},
        ),
    ],
)
def test_changed_code_that_a_run_finds_by_name_plans_what_uses_it(replanned, changed, planned):
    assert replanned(*changed) == planned
