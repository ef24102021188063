"""What a user sees of a run: few lines, and the files to open; of mistakes on the command line, one line."""

import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from harness import ROOT, TINY

CHECKPOINT = "results/runs/tiny/small/seed1/epoch2"


def test_a_run_is_a_line_per_job_and_ends_with_what_came_out(finished):
    text = finished.first.stderr
    assert len(text.encode()) < 5000
    jobs = [line for line in text.splitlines() if re.match(r"\[ *\d+/\d+\] ", line)]
    numbers = [tuple(map(int, re.match(r"\[ *(\d+)/(\d+)\]", line).groups())) for line in jobs]
    assert numbers == [(i + 1, len(jobs)) for i in range(len(jobs))], "each once, and all of them"
    assert any(re.fullmatch(r"\[.+\] train: epoch 2 of 2, tiny/small, seed 1, \d+ .*", line) for line in jobs)
    assert any(re.fullmatch(r"\[.+\] probe: untrained, tiny/small, seed 1, frozen, \d+ .*", line) for line in jobs)
    _, _, ending = text.partition("Done: ")
    assert re.search(r"^ +dev perplexity +ρ←\(∇h²\) +claims: reproduced ", ending, re.MULTILINE)
    opened = re.findall(r"^  (results/\S+)", ending, re.MULTILINE)
    assert len(opened) >= 4
    assert all((finished.folder / path).exists() for path in opened)


def test_no_rule_that_makes_something_is_without_a_message(finished):
    """A job without one would be called by its rule, such as draw_of_model."""
    process = finished.snakemake("--dry-run", "--forceall")
    lines = [line for line in process.stdout.splitlines() if "(you asked for it" in line]
    assert len(lines) > 30
    assert all(re.match(r"[a-z]+: \S", line) for line in lines), process.stdout


def test_nothing_to_do_says_where_the_results_are(finished):
    process = finished.run()
    assert "Nothing to be done" in process.stderr
    assert "results/experiments/tiny/comparison.html" in process.stderr
    assert len(process.stderr.encode()) < 1500


def test_a_target_shows_its_own_files(copied):
    (copied.folder / "results/experiments/tiny/figures/chi.png").unlink()
    ending = copied.run("chi").stderr.partition("Done: ")[2]
    assert "Open next:\n  results/experiments/tiny/figures/chi.png\n" in ending
    assert "perplexity" not in ending


def test_a_failure_shows_the_job_its_log_and_what_to_do(copied):
    (copied.folder / CHECKPOINT / "frozen.parquet").unlink()
    path = copied.folder / CHECKPOINT / "parameters.safetensors"
    times = path.stat()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    process = copied.snakemake(f"{CHECKPOINT}/frozen.parquet")
    assert process.returncode == 1
    said = process.stderr
    assert "FAILED  probe: epoch 2 of 2, tiny/small, seed 1, frozen\n" in said
    assert "the end of results/runs/tiny/small/seed1/logs/probe/frozen/epoch2.log:\n          natural-sparsity" in said
    assert "run the same command again" in said
    assert said.splitlines()[-1].startswith("Stopped: 1 job failed, see above; 0 of 1 job done.")
    assert len(said.encode()) < 1500 and "Traceback" not in said


def test_a_changed_setting_is_named_as_the_reason(copied):
    process = copied.snakemake("--dry-run", changes={"models": {"small": {"training": {"learning_rate": 4}}}})
    assert "its settings have changed: learning_rate: 5.0 → learning_rate: 4.0" in process.stdout


def test_changed_code_is_called_code(copied, tmp_path):
    shutil.copytree(ROOT / "src", tmp_path / "src")
    module = tmp_path / "src/natural_sparsity/figures/chi.py"
    module.write_text(f"{module.read_text()}\nADDED = 1\n")
    process = copied.snakemake("--dry-run", "chi", environment={"PYTHONPATH": str(tmp_path / "src")})
    assert "figure: chi (its code has changed)\n" in process.stdout


@pytest.mark.parametrize("word", ["nowhere.yaml", "fig2"])
def test_a_configfile_that_is_not_there_is_one_line(fresh, word):
    process = fresh.snakemake(configfile=Path(word))
    assert process.returncode == 1
    [line] = [line for line in process.stderr.splitlines() if not line.startswith("Using workflow specific profile")]
    assert line.startswith(f"--configfile: {word}: no such file or directory; correct the path. Targets go before")


def test_a_checkout_is_used_from_another_folder(fresh):
    process = fresh.snakemake("chi", called_in=fresh.folder, environment={"PWD": str(fresh.folder)})
    assert "[1/1] figure: chi, " in process.stderr


def test_verbose_shows_all_that_snakemake_says(finished):
    process = finished.snakemake("--dry-run", "--forceall", "--verbose", "chi")
    assert re.search(r"^rule draw_chi:\n    output: ", process.stdout, re.MULTILINE)


def test_targets_are_listed_with_what_they_show(fresh):
    process = fresh.snakemake("--list-target-rules")
    lines = process.stdout.splitlines()
    assert "fig3a (Figure 3a: correlations, target words)" in lines
    assert "explorer (A page on which to look at every word of every run)" in lines
    assert all(re.fullmatch(r"\w+ \(.+\)", line) for line in lines), process.stdout


def test_on_a_terminal_bars_show_what_runs(copied):
    """In a pseudo-terminal, which does not tell its size; the bars are gone when all is done."""
    for name in ("state.json", "parameters.safetensors", "frozen.parquet"):
        (copied.folder / CHECKPOINT / name).unlink()
    ours, theirs = pty.openpty()
    command = [
        Path(sys.executable).with_name("snakemake"),
        "--snakefile",
        ROOT / "Snakefile",
        f"{CHECKPOINT}/state.json",
    ]
    command += ["--directory", copied.folder, "--cores", "2", "--configfile", TINY, "--config", "name=tiny"]
    environment = {**os.environ, "TERM": "xterm"}
    process = subprocess.Popen(list(map(str, command)), stdout=theirs, stderr=theirs, cwd=ROOT, env=environment)
    os.close(theirs)
    shown = b""
    while True:
        try:
            shown += os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
    os.close(ours)
    assert process.wait() == 0, shown
    text = shown.decode()
    assert "0 of 1 jobs; now train: epoch 2 of 2, tiny/small, seed 1" in text
    assert "[1/1] train: epoch 2 of 2, tiny/small, seed 1, " in text
    ending = text.split("Done: ")[1]
    assert "of 1 jobs" not in ending
