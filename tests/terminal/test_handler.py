"""What is on the terminal, from the records that Snakemake 9.27 gives to a logger."""

import io
import logging

import pytest
from snakemake_interface_common.plugin_registry.attribute_types import AttributeKind
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry

from natural_sparsity.terminal.handler import LogHandler, Run
from natural_sparsity.terminal.screen import Paper

RESULTS = "Results go to …"
DONE = {"natural_sparsity": {"results": "results/experiments/mine", "targets": ["fig2"], "names": ["fig2"]}}


FAILED = {"log": ["train.log"], "rule_msg": None, "indent": False}


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self):
        return True


def record(message="", event=None, level=logging.INFO, **fields):
    made = logging.makeLogRecord({"msg": message, "levelno": level, **fields})
    if event:
        made.event = event
    return made


def started(jobid, rule="train", message="train: epoch 1 of 2, sample/lstm, seed 1", **fields):
    fields = {"log": ["train.log"], "output": ["runs/epoch1/state.json"], "input": [], "wildcards": {}, **fields}
    fields = {"reason": "Missing output files: a", "shellcmd": "natural-sparsity train 2> train.log", **fields}
    return record(event=LogEvent.JOB_INFO, jobid=jobid, rule_name=rule, rule_msg=message, **fields)


def ended(jobid):
    return record(event=LogEvent.JOB_FINISHED, job_id=jobid)


@pytest.fixture
def stream():
    return io.StringIO()


@pytest.fixture
def run(stream, tmp_path, monkeypatch):
    """A run of two epochs and a figure, announced."""
    monkeypatch.chdir(tmp_path)
    run = Run(stream)
    run.take(record(RESULTS, **DONE))
    run.take(record("Provided cores: 2", LogEvent.RESOURCES_INFO, cores=2))
    run.take(
        record("Job stats:", LogEvent.RUN_INFO, stats={"train": 2, "draw_fig2": 1, "fig2": 1, "all": 1, "total": 5})
    )
    yield run
    run.close()


def test_a_run_is_a_line_per_job_and_none_for_targets(run, stream):
    for jobid in (1, 2):
        run.take(started(jobid))
        run.take(ended(jobid))
    run.take(started(3, "draw_fig2", "figure: fig2", reason="Forced execution"))
    run.take(ended(3))
    run.take(started(4, "fig2", None, output=[], shellcmd=None))
    run.take(ended(4))
    run.take(record(event=LogEvent.PROGRESS, done=5, total=5))
    assert stream.getvalue().splitlines() == [
        "3 jobs to run on 2 cores; of these, 2 train",
        "[1/3] train: epoch 1 of 2, sample/lstm, seed 1, 0 s",
        "[2/3] train: epoch 1 of 2, sample/lstm, seed 1, 0 s",
        "[3/3] figure: fig2, 0 s (you asked for it (--force…))",
        "Done: 3 jobs in 0 s.",
    ]


def test_a_failure_shows_the_end_of_its_log_and_no_more(run, stream, tmp_path):
    (tmp_path / "train.log").write_text("natural-sparsity train: a.npy: damaged; delete it\n")
    run.take(started(1))
    message = "RuleException:\nCalledProcessError in file …\nCommand '…' returned non-zero exit status 1."
    run.take(record(message, LogEvent.ERROR, logging.ERROR, exception="RuleException"))
    run.take(record("", LogEvent.JOB_ERROR, logging.ERROR, jobid=1, rule_name="train", **FAILED))
    run.take(record("Complete log(s): x.log"))
    message = "WorkflowError:\nAt least one job did not complete successfully."
    run.take(record(message, LogEvent.ERROR, logging.ERROR, exception="WorkflowError"))
    text = stream.getvalue()
    assert "FAILED  train: epoch 1 of 2, sample/lstm, seed 1\n        the end of train.log:\n" in text
    assert "CalledProcessError" not in text and "WorkflowError" not in text
    assert text.splitlines()[-1] == "Stopped: 1 job failed, see above; 0 of 3 jobs done. Snakemake's log: x.log"


def test_of_a_group_only_the_jobs_that_failed_are_shown(run, stream, tmp_path):
    """On a cluster; Snakemake reports the group and then each of its jobs, those that ended well too."""
    infos = []
    for jobid, said in ((1, "tag: model 3.8.0\n"), (2, "natural-sparsity tag: a.npy: damaged; delete it\n"), (3, "")):
        log = tmp_path / f"{jobid}.log"
        log.write_text(said)
        run.take(started(jobid, "tag", f"tag: shard {jobid}", log=[log.name]))
        infos.append({"jobid": jobid, "rule_name": "tag", "log": [log.name]})
    run.take(started(4))
    run.take(record("", LogEvent.GROUP_ERROR, logging.ERROR, job_error_info=infos, aux_logs=[]))
    for info in infos:
        run.take(record("", LogEvent.JOB_ERROR, logging.ERROR, **{**FAILED, **info, "indent": True}))
    lines = stream.getvalue().splitlines()[1:]
    assert lines[0] == "FAILED  tag: shard 2"
    assert lines[1].strip() == "in a submission of 3 jobs, which are all made again"
    assert sum("FAILED" in line for line in lines) == 1
    assert lines[-1].strip() == "1 other job will finish first."
    assert run.failed == 1


def test_on_slurm_each_job_is_named_with_its_number_there(run, stream):
    run.take(started(7))
    run.take(record("Job 7 has been submitted with SLURM jobid 4711 (log: results/logs/slurm/…)."))
    assert stream.getvalue().splitlines()[-1].strip() == "SLURM job 4711: train: epoch 1 of 2, sample/lstm, seed 1"


def test_a_job_that_is_tried_again_has_not_failed(run, stream):
    run.take(started(1))
    run.take(record("", LogEvent.JOB_ERROR, logging.ERROR, jobid=1, rule_name="train", **FAILED))
    run.take(record("Trying to restart job 1."))
    assert "It is tried again" in stream.getvalue()
    assert run.failed == 0


def test_errors_and_messages_that_nobody_foresaw_are_shown(run, stream):
    run.take(record("CyclicGraphException:\nCyclic dependency", LogEvent.ERROR, exception="CyclicGraphException"))
    run.take(record("Something new"))
    assert "Cyclic dependency" in stream.getvalue() and "Something new" in stream.getvalue()


def test_nothing_to_be_done_is_said(run, stream):
    run.take(record("Nothing to be done (all requested files are present and up to date)."))
    assert "Nothing to be done: " in stream.getvalue()


def test_a_dry_run_says_why_and_has_the_table_once(stream):
    run = Run(stream, dry=True)
    run.take(record("Job stats:\njob  count", LogEvent.RUN_INFO, stats={"train": 1, "total": 1}))
    run.take(started(1))
    run.take(record("Job stats:\njob  count", LogEvent.RUN_INFO, stats={"train": 1, "total": 1}))
    assert stream.getvalue().splitlines() == [
        "train: epoch 1 of 2, sample/lstm, seed 1 (missing: a)",
        "",
        "Job stats:",
        "job  count",
        "",
    ]


def test_a_terminal_has_bars_with_the_time_left(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stream = Terminal()
    run = Run(stream)
    run.take(record("", LogEvent.RUN_INFO, stats={"train": 2, "probe": 3, "total": 5}))
    run.take(started(1))
    (tmp_path / "train.log").write_text("epoch 1:  50%  loss 5.1  2 tokens/s  0 s left\n")
    run.look()
    assert "train: 0.5 of 2, about 0 s left" in stream.getvalue()
    assert "0 of 5 jobs; now train: epoch 1 of 2, sample/lstm, seed 1" in stream.getvalue()
    assert "probe: " not in stream.getvalue(), "none has begun"
    run.take(started(2, "encode", "encode", shellcmd="natural-sparsity encode 2>&1 | tee x >&2"))
    stream.truncate(0)
    run.look()
    assert "jobs" not in stream.getvalue(), "encode writes to the terminal"
    run.close()


def test_in_a_log_a_long_job_is_mentioned_ever_more_rarely(stream, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = Run(stream)
    run.take(started(1))
    (job,) = run.running.values()
    paper = Paper(stream)
    for second in range(0, 7200, 10):
        paper.show(0, 1, [job], {}, job.started + second)
    lines = stream.getvalue().splitlines()
    assert lines[0].strip() == "train: epoch 1 of 2, sample/lstm, seed 1 has run for 2 min 0 s"
    assert 4 < len(lines) < 9


def test_a_reader_that_leaves_does_not_end_the_run(settings, monkeypatch):
    class Closed(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    monkeypatch.setattr("sys.stderr", Closed())
    handler = LogHandler(settings(), None)
    for _ in range(2):
        handler.emit(record("Something new"))
    handler.close()


@pytest.fixture
def settings():
    """Makes what Snakemake tells a logger about its output."""
    from snakemake.settings.types import OutputSettings

    return OutputSettings


def test_verbose_shows_what_snakemake_shows(settings, capsys):
    handler = LogHandler(settings(verbose=True, nocolor=True), None)
    handler.emit(record("Building DAG of jobs..."))
    more = {"local": False, "is_checkpoint": False, "benchmark": None, "priority": 0, "threads": 1, "resources": {}}
    handler.emit(started(5, **more))
    handler.close()
    said = capsys.readouterr().err
    assert said.startswith("Building DAG of jobs...\n")
    assert "rule train:\n" in said and "    output: runs/epoch1/state.json\n" in said
    assert "    message: train: epoch 1 of 2" in said


def test_snakemake_finds_the_logger_by_the_name_of_its_package():
    registry = LoggerPluginRegistry()
    assert "natural-sparsity" in registry.get_registered_plugins()
    plugin = registry.get_plugin("natural-sparsity")
    assert plugin.log_handler is LogHandler
    assert registry.expected_attributes()["LogHandler"].kind is AttributeKind.CLASS


def test_a_table_that_was_damaged_is_named_after_a_run_that_is_done(run, stream, tmp_path):
    comparison = tmp_path / "results/experiments/mine/comparison.csv"
    verdicts = comparison.parent / "sample/lstm/frozen/verdicts.csv"
    verdicts.parent.mkdir(parents=True)
    names = "data,model,seed,condition,layers,dev_perplexity,grad_h_L_last,"
    names += "reproduced,not reproduced,undecided,not testable here"
    comparison.write_text(f"{names}\nsample,lstm,1,frozen,2,280,0.2,1,0,0,0\n")
    verdicts.write_text("claim,ver")
    run.summarise(whole=True)
    assert "verdicts.csv" in stream.getvalue().splitlines()[-1]


def test_jobs_that_are_not_shown_are_counted_at_the_end(run, stream):
    """With --quiet, Snakemake hands over no job, only how far it is."""
    run.take(record(event=LogEvent.PROGRESS, done=5, total=5))
    assert "Done: 3 jobs in" in stream.getvalue()
