"""Snakemake's messages in fewer and plainer words."""

import pytest

from natural_sparsity.terminal.wording import (
    advise,
    describe_failure,
    explain,
    give_up,
    name_job,
    read_status,
    translate,
    translate_error,
    write_seconds,
)

BEFORE, NOW = "0123456789abcdef", "fedcba9876543210"
CHANGED = "Params have changed since last execution: Union of exclusive params before and now across all output: "


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (59.4, "59 s"), (200, "3 min 20 s"), (3599.7, "1 h 0 min"), (90000, "25 h 0 min")],
)
def test_a_time_is_in_its_two_largest_units(seconds, text):
    assert write_seconds(seconds) == text


def test_a_job_is_what_its_rule_says_or_else_its_rule_and_wildcards():
    assert name_job("train", "train: epoch 3 of 8", {"epoch": "3"}) == "train: epoch 3 of 8"
    assert name_job("mine", None, {"data": "sample", "seed": "1"}) == "mine: sample, 1"
    assert name_job("mine", None, {}) == "mine"


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("Missing output files: a.json, b.json; Input files updated by another job: c", ""),
        (f"{CHANGED}before: '{BEFORE}' now: '{NOW}' ", "its code has changed"),
        (f"{CHANGED}before: ['{BEFORE}', '{NOW}'] now: ['{BEFORE}', '{BEFORE}'] ", "its code has changed"),
        (f"{CHANGED}before: <nothing exclusive> now: '{NOW}' ", "its code has changed"),
        (
            CHANGED + """before: '{"batch": 10, "clip": 0.25}' now: '{"batch": 20, "clip": 0.25}' """,
            "its settings have changed: batch: 10 → batch: 20",
        ),
        ("Code has changed since last execution", "its rule has changed"),
        ("Updated input files: text.txt, b.txt", "newer input: text.txt and 1 more"),
        ("Forced execution", "you asked for it (--force…)"),
        ("Something that a later Snakemake says", "Something that a later Snakemake says"),
    ],
)
def test_a_reason_is_in_a_few_words(reason, words):
    assert explain(reason) == words


def test_a_change_of_code_and_settings_names_both():
    reason = f"""{CHANGED}before: '{BEFORE}','{{"batch": 1}}' now: '{NOW}','{{"batch": 2}}' """
    assert explain(reason) == "its code has changed; its settings have changed: batch: 1 → batch: 2"


def test_a_dry_run_says_also_what_is_missing():
    assert explain("Missing output files: a.json, b.json", every=True) == "missing: a.json and 1 more"
    assert explain("Input files updated by another job: c", every=True) == "its inputs are made again"


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ("Command '…' returned non-zero exit status 137.", 137),
        ("Command '…' died with <Signals.SIGKILL: 9>.", -9),
        ("something else", 0),
    ],
)
def test_the_status_of_a_command(message, status):
    assert read_status(message) == status


def failure(tmp_path, text, status=1, **more):
    """The lines about a failed job whose log has this text."""
    log = tmp_path / "train.log"
    log.write_text(text)
    return "\n".join(describe_failure("train: epoch 3 of 8", "train", [str(log)], status, **more))


def test_a_failure_shows_the_job_the_end_of_its_log_and_the_mend(tmp_path):
    lines = "".join(f"epoch 3:  {i}%\n" for i in range(50))
    text = failure(tmp_path, f"{lines}natural-sparsity train: a.npy: changed or cut; delete it\n")
    assert text.startswith(f"FAILED  train: epoch 3 of 8\n        the end of {tmp_path}/train.log:\n")
    assert "natural-sparsity train: a.npy: changed or cut; delete it\n        To do: see the line above." in text
    assert "run the same command again" in text
    assert text.count("\n") < 16


def test_a_failure_is_explained_by_how_it_ended(tmp_path):
    assert "memory" in failure(tmp_path, "epoch 3: 10%", 137)
    assert "please report it" in failure(tmp_path, "Traceback (most recent call last):\n  …\nKeyError: 'a'")
    assert "docs/faults.md" in failure(tmp_path, "no idea")
    said = failure(tmp_path, "no idea", said="SLURM status is: 'TIMEOUT'\n\n")
    assert said.startswith("FAILED  train: epoch 3 of 8\n        SLURM status is: 'TIMEOUT'\n        the end of ")
    assert advise("", "", 0) == advise("no idea", "no idea", 1)


def test_what_was_interrupted_did_not_fail(tmp_path):
    traceback = "Traceback (most recent call last):\nKeyboardInterrupt"
    assert failure(tmp_path, traceback, 130) == "STOPPED  train: epoch 3 of 8"
    saved = "epoch 3: stopped by SIGTERM after step 40 of 100; run again to go on from x"
    assert failure(tmp_path, saved, 143) == f"STOPPED  train: epoch 3 of 8\n        {saved}"
    assert give_up(0, 3, 9, "x.log").startswith("Stopped, with 3 of 9 jobs done. Run the same command again")


def test_a_job_without_a_log_fails_too(tmp_path):
    assert describe_failure("mine", "made", [str(tmp_path / "none")], 1)[0] == "FAILED  mine (rule made)"


def test_a_file_that_is_not_there_is_one_line_and_says_where_targets_go():
    trace = "Traceback (most recent call last):\n  File …, in _get_overwrite_config\n"
    message = f"{trace}FileNotFoundError: [Errno 2] No such file or directory: 'fig2'"
    line = translate_error("FileNotFoundError", message)
    assert line.startswith("--configfile: fig2: no such file or directory; correct the path. Targets go before ")
    assert "\n" not in line
    elsewhere = message.replace("_get_overwrite_config", "other")
    assert translate_error("FileNotFoundError", elsewhere) == elsewhere
    assert translate_error("WorkflowError", "WorkflowError:\nAt least one job did not complete successfully.") == ""


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("fgi2", "fgi2: no such target; did you mean fig2? snakemake --list-target-rules lists all."),
        ("zebra", "zebra: no such target. snakemake --list-target-rules lists all."),
        ("results/runs/a/b", "results/runs/a/b: no rule makes this file; check the experiment, data, model, seed and"),
    ],
)
def test_a_misspelt_target_is_one_line_with_the_nearest_name(asked, said):
    message = f"MissingRuleException:\nNo rule to produce {asked} (if you use input functions make sure that they don't"
    line = translate_error("MissingRuleException", f"{message} raise unexpected exceptions).", ["all", "fig2", "fig3a"])
    assert line.startswith(said) and "\n" not in line


def test_only_what_is_known_to_be_of_no_use_is_left_out():
    assert translate("Building DAG of jobs...") == translate("Select jobs to execute...") == ""
    assert translate("Error: directory cannot be locked. snakemake --unlock") != ""
