"""The logger: what Snakemake reports, as lines and bars (``--logger natural-sparsity``, which the profiles set).

With ``--verbose`` or ``--debug-dag``, everything is shown as Snakemake itself shows it. Its own log, in
``.snakemake/log``, goes on beside this.
"""

import logging
import os
import re
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from natural_sparsity.errors import UserError
from natural_sparsity.terminal import wording
from natural_sparsity.terminal.pace import KIND, Job, Pace
from natural_sparsity.terminal.screen import SECONDS_BETWEEN_LOOKS, Paper, Screen
from natural_sparsity.terminal.summary import summarise

RED, RESET = "\033[31m", "\033[0m"


class LogHandler(LogHandlerBase):
    """Writes to the terminal, or to what stands in its place."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = False  # Snakemake adds its own, which knows --quiet
    has_formatter = False
    needs_rulegraph = False

    def __post_init__(self) -> None:
        settings = self.common_settings
        stream = sys.stdout if settings.stdout else sys.stderr
        if settings.verbose or settings.debug_dag:
            # Imports snakemake, which the rest of this package can do without.
            from natural_sparsity.terminal.whole import make_handler

            self.handle_record = make_handler(settings, stream).emit
        else:
            self.run = Run(stream, settings.dryrun, settings.nocolor)
            self.handle_record = self.run.take

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record; a fault here must not end the experiment."""
        try:
            self.handle_record(record)
        except BrokenPipeError:  # nobody reads any more
            self.handle_record = lambda record: None
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Remove the bars."""
        if hasattr(self, "run"):
            self.run.close()
        super().close()


class Run:
    """One call of Snakemake: what runs, what is done, and where that is shown."""

    def __init__(self, stream: TextIO, dry: bool = False, nocolor: bool = False):
        on_screen = stream.isatty() and os.environ.get("TERM") != "dumb" and not dry
        self.screen = Screen(stream) if on_screen else Paper(stream)
        self.colour = on_screen and not nocolor and "NO_COLOR" not in os.environ
        self.dry = dry
        self.results = Path()  # results/experiments/NAME
        self.targets: set[str] = {"all"}  # rules that only name what is to be made
        self.names: list[str] = []  # what can be asked for: these rules and others
        self.asked: dict[str, list[str]] = {}  # by target, its files
        self.running: dict[int, Job] = {}
        self.reasons: dict[int, str] = {}
        self.paces: dict[str, Pace] = {}
        self.done = self.total = 0
        self.failed = 0
        self.status = 0  # of the command that failed last
        self.cores: int | None = None
        self.log = ""
        self.table_seen = False
        self.began = time.time()
        self.lock = threading.RLock()
        self.ended = threading.Event()
        self.actions: dict[LogEvent | None, Callable[[Any], None]] = {
            LogEvent.RESOURCES_INFO: self.note_cores,
            LogEvent.RUN_INFO: self.begin,
            LogEvent.JOB_INFO: self.start,
            LogEvent.SHELLCMD: self.show_command,
            LogEvent.JOB_FINISHED: self.finish,
            LogEvent.JOB_ERROR: self.fail,
            LogEvent.GROUP_ERROR: self.fail_group,
            LogEvent.PROGRESS: self.conclude,
            LogEvent.ERROR: self.report,
            None: self.say,
        }

    def take(self, record: Any) -> None:
        """Take a record from Snakemake."""
        with self.lock:
            action = self.actions.get(getattr(record, "event", None))
            if action:
                action(record)

    def look(self) -> None:
        """Show how far the jobs are."""
        with self.lock:
            if not self.ended.is_set():
                self.screen.show(self.done, self.total, [*self.running.values()], self.paces, time.time())

    def watch(self) -> None:
        """Look again and again; for a thread. A fault in it, or a pipe that nobody reads, ends the looking alone."""
        with suppress(Exception):
            while not self.ended.wait(SECONDS_BETWEEN_LOOKS):
                self.look()

    def note_cores(self, record: Any) -> None:
        """Take the number of cores, for the first line."""
        self.cores = getattr(record, "cores", self.cores)

    def begin(self, record: Any) -> None:
        """Say how much there is to do. Of a dry run, Snakemake's table at its end: it comes at the start, too."""
        if self.dry:
            if self.table_seen:
                self.screen.write(f"\n{record.getMessage().strip()}\n")
            self.table_seen = True
            return
        jobs = {rule: number for rule, number in record.stats.items() if rule not in {*self.targets, "total"}}
        self.total = sum(jobs.values())
        for kind in ("train", "probe"):
            number = sum(number for rule, number in jobs.items() if (match := KIND.match(rule)) and match[1] == kind)
            self.paces |= {kind: Pace(number)} if number else {}
        self.screen.write(
            wording.announce(self.total, {kind: pace.total for kind, pace in self.paces.items()}, self.cores)
        )
        threading.Thread(target=self.watch, daemon=True).start()

    def start(self, record: Any) -> None:
        """Note that a job runs, or, in a dry run, say that it would, and why."""
        if record.rule_name in self.targets:
            self.asked[record.rule_name] = [str(path) for path in record.input]
            return
        name = wording.name_job(record.rule_name, record.rule_msg, record.wildcards)
        reason = wording.explain(str(record.reason), every=self.dry)
        if self.dry:
            self.screen.write(name + (f" ({reason})" if reason else ""))
            return
        job = Job(
            name, record.rule_name, [*record.log], list(dict.fromkeys(Path(path).parent.name for path in record.output))
        )
        job.speaks = (record.shellcmd or "").rstrip().endswith(">&2")
        self.running[record.jobid], self.reasons[record.jobid] = job, reason
        if (pace := self.paces.get(job.kind)) and not pace.started:
            pace.started = job.started
        self.look()

    def show_command(self, record: Any) -> None:
        """Show a job's command; asked for by --printshellcmds, or else not handed over."""
        if record.shellcmd:
            self.screen.write(f"        {record.shellcmd.strip()}")

    def finish(self, record: Any) -> None:
        """Write the line of a job."""
        job = self.running.pop(record.job_id, None)
        if job is None:
            return
        self.done += 1
        if job.kind in self.paces:
            self.paces[job.kind].done += 1
        reason = self.reasons.pop(record.job_id, "")
        place = f"[{self.done:>{len(str(self.total))}}/{self.total}]"
        took = wording.write_seconds(time.time() - job.started)
        self.screen.write(f"{place} {job.name}, {took}" + (f" ({reason})" if reason else ""))
        self.look()

    def fail(self, record: Any) -> None:
        """Write what is known about a job that failed."""
        job = self.running.pop(record.jobid, None)
        if record.indent:  # of a group, which has been written
            return
        name = job.name if job else wording.name_job(record.rule_name, None, {})
        lines = wording.describe_failure(name, record.rule_name, record.log, self.status, record.rule_msg or "")
        self.give(lines, len(self.running))
        self.failed += self.status not in wording.INTERRUPTED
        self.status = 0

    def fail_group(self, record: Any) -> None:
        """Write what is known about a group of jobs in one submission: of those whose logs end in an error."""
        names = {info["jobid"]: info["rule_name"] for info in record.job_error_info}
        names |= {jobid: self.running[jobid].name for jobid in names if jobid in self.running}
        guilty = [info for info in record.job_error_info if wording.ends_in_error(info["log"])]
        logs = record.aux_logs
        for info in guilty or record.job_error_info[:1]:
            said = f"in a submission of {wording.count(len(names), 'job')}, which are all made again"
            lines = wording.describe_failure(names[info["jobid"]], info["rule_name"], [*info["log"], *logs], 0, said)
            self.give(lines, len(self.running.keys() - names.keys()))
        self.failed += 1

    def give(self, lines: list[str], running: int) -> None:
        """Write the lines about a job that failed, the first in red; and how many go on."""
        others = [f"        {wording.count(running, 'other job')} will finish first."] if running else []
        first, *rest = lines
        self.screen.write("\n".join([f"{RED}{first}{RESET}" if self.colour else first, *rest, *others]))

    def report(self, record: Any) -> None:
        """Write an error of Snakemake itself, or keep the status of a command, since the record of its job follows."""
        kind, message = record.exception, record.getMessage()
        if "CalledProcessError" in message:
            self.status = wording.read_status(message)
        elif text := wording.translate_error(kind, message, self.names):
            self.screen.write(text)
        else:
            self.screen.hide()
            self.screen.write(wording.give_up(self.failed, self.done, self.total, self.log))

    def conclude(self, record: Any) -> None:
        """Once all is done, say what came out and what to open."""
        if record.done == record.total:
            self.close()
            took = wording.write_seconds(time.time() - self.began)
            self.screen.write(f"Done: {wording.count(self.total, 'job')} in {took}.")
            self.summarise("all" in self.asked)

    def summarise(self, whole: bool) -> None:
        """Write what came out: of the whole experiment, or of the targets that were asked for."""
        asked = [path for paths in self.asked.values() for path in paths]
        if self.results.name and (whole or asked):
            try:
                lines = summarise(self.results, [] if whole else asked)
            except UserError as error:  # a table that somebody changed: the run itself is done
                lines = [str(error)]
            self.screen.write("\n".join(["", *lines] if lines else []))

    def say(self, record: Any) -> None:
        """Write a message, unless it is of no use; or take what the workflow says about itself."""
        if about := getattr(record, "natural_sparsity", None):
            self.results, self.targets = Path(about["results"]), {*self.targets, *about["targets"]}
            self.names = about["names"]
            return
        message = record.getMessage()
        if message.startswith(wording.COMPLETE_LOG):
            self.log = message.removeprefix(wording.COMPLETE_LOG)
        elif message.startswith(wording.NOTHING):
            self.screen.write("Nothing to be done: all that you asked for is there and up to date.")
            self.summarise(whole=True)
        elif message.startswith(wording.RESTART):
            self.failed = max(0, self.failed - 1)
            self.screen.write("        It is tried again.")
        elif match := re.match(r"Job (\d+) has been submitted with SLURM jobid (\d+)", message):
            job = self.running.get(int(match[1]))
            self.screen.write(f"        SLURM job {match[2]}: {job.name if job else f'job {match[1]}'}")
        elif text := wording.translate(message):
            self.screen.write(text)

    def close(self) -> None:
        """Remove the bars and look no more."""
        self.ended.set()
        with self.lock, suppress(OSError):
            self.screen.hide()
