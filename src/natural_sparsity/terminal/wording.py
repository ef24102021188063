"""Snakemake's messages in fewer and plainer words. All functions are from text to text."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

# A digest of code (provenance.digest_code) among parameters, perhaps in a list.
DIGEST = re.compile(r"[\['\"\s]*\b[0-9a-f]{16}\b['\"\]]*")
# What Snakemake reports at each start and end, and no user acts upon; all of it is in .snakemake/log.
BOILERPLATE = re.compile(
    r"Assuming unrestricted shared filesystem|Building DAG of jobs|Using shell|Conda environments: ignored|Select jobs"
    r"|Config file .* is extended|Provided (cores|resources|remote nodes)|Group jobs: inactive|Elapsed time"
    r"|Singularity containers: ignored|Shutting down, this might|Exiting because a job execution failed|Reasons:"
    r"|Rules with provenance triggered jobs|Submitted job \d+ with|Unlocked working directory\.$"
)
COMPLETE_LOG = "Complete log(s): "
RESTART = "Trying to restart job"
NOTHING = "Nothing to be done"
PROVENANCE = "Some jobs were triggered by provenance information"
LINES_OF_LOG = 12
# Statuses of a command that SIGINT or SIGTERM ended, and what training says when it has saved.
INTERRUPTED = {-2, -15, 130, 143}
SAVED = "run again to go on"
# The last line of a command that failed: of ours, or of a traceback.
MISTAKE = re.compile(r"natural-sparsity \w+: |[\w.]*(Error|Exception)\b")
WIDEST = 110


def write_seconds(seconds: float) -> str:
    """A length of time in its two largest units: ``26 s``, ``3 min 20 s``, ``2 h 5 min``."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if minutes else f"{rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def count(number: int, noun: str) -> str:
    """``1 job``, ``2 jobs``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def name_job(rule: str, message: str | None, wildcards: Mapping[str, str]) -> str:
    """What a job is: its rule's message, or for a rule without one, its name and wildcards."""
    return message or ": ".join(filter(None, [rule, ", ".join(map(str, wildcards.values()))]))


def announce(total: int, long: Mapping[str, int], cores: int | None) -> str:
    """The first line: how many jobs there are, on how many cores, and how many are of each kind that takes long."""
    parts = ", ".join(f"{number} {kind}" for kind, number in long.items())
    on = f" on {count(cores, 'core')}" if cores else ""
    return f"{count(total, 'job')} to run{on}" + (f"; of these, {parts}" if parts else "")


def give_up(failed: int, done: int, total: int, log: str) -> str:
    """The last line of a run that was interrupted or in which some jobs ``failed``; ``log`` is Snakemake's own."""
    where = f"{done} of {count(total, 'job')} done"
    if not failed:
        return f"Stopped, with {where}. Run the same command again; training goes on inside the epoch."
    return f"Stopped: {count(failed, 'job')} failed, see above; {where}. Snakemake's log: {log}"


def shorten(paths: Sequence[str]) -> str:
    """The first path, and how many more there are."""
    return paths[0] + (f" and {len(paths) - 1} more" if len(paths) > 1 else "")


def explain(reason: str, every: bool = False) -> str:
    """Why a job runs, in a few words; empty if only because its output is missing or its inputs are made again.

    Args:
        reason: as Snakemake writes it.
        every: name these two reasons too.
    """
    found = []
    for part in re.split(r"; (?=[A-Z])", reason.removeprefix("Finished (was: ").strip()):
        head, _, rest = part.partition(": ")
        paths = rest.split(", ")
        match head:
            case "Missing output files":
                found += [f"missing: {shorten(paths)}"] if every else []
            case "Input files updated by another job":
                found += ["its inputs are made again"] if every and not found else []
            case "Updated input files":
                found += [f"newer input: {shorten(paths)}"] if rest else []
            case "Incomplete output files":
                found.append("it was interrupted")
            case "Code has changed since last execution":
                found.append("its rule has changed")
            case "Params have changed since last execution":
                found += compare_parameters(rest)
            case "Set of input files has changed since last execution":
                found.append("it has other inputs")
            case "Software environment definition has changed since last execution":
                found.append("its software environment has changed")
            case "Forced execution":
                found.append("you asked for it (--force…)")
            case _:
                found += [part] if part else []
    return "; ".join(found)


def compare_parameters(change: str) -> list[str]:
    """What is different among a rule's parameters: the code that the step runs, its settings, or both."""
    _, _, before_and_now = change.partition("before: ")
    sides = [side.strip() for side in before_and_now.partition(" now: ")[::2]]
    without = [DIGEST.sub("", side).replace("<nothing exclusive>", "").strip(" ,[]") for side in sides]
    found = ["its code has changed"] if any(DIGEST.search(side) for side in sides) else []
    if any(without):
        before, now = (
            [part for part in split_settings(side) if part not in split_settings(other)]
            for side, other in (without, without[::-1])
        )
        settings = f": {', '.join(before) or 'nothing'} → {', '.join(now) or 'nothing'}"
        found.append("its settings have changed" + (settings if len(settings) < WIDEST else ""))
    return found


def split_settings(text: str) -> list[str]:
    """The parts of parameters, JSON among them, that stand between commas."""
    parts = (re.sub(r"[{}'\"]", "", part).strip() for part in text.split(","))
    return [part for part in parts if part]


def read_status(message: str) -> int:
    """With what status a command ended, negative for a signal, from Snakemake's message; 0 if it does not say."""
    if match := re.search(r"died with <Signals\.\w+: (\d+)>", message):
        return -int(match[1])
    match = re.search(r"returned non-zero exit status (\d+)", message)
    return int(match[1]) if match else 0


def describe_failure(job: str, rule: str, logs: Sequence[str], status: int, said: str = "") -> list[str]:
    """A failed job: what it is, the end of the first log that says something, and what to do.

    Args:
        job: what it is; see :func:`name_job`.
        rule: its rule's name.
        logs: paths of its logs.
        status: of its command, negative for a signal, 0 if not known.
        said: what the cluster says about it.
    """
    name = job if job.startswith(f"{rule}:") else f"{job} (rule {rule})"
    log, end = next(((log, end) for log in logs if (end := read_end(log))), ("", []))
    if status in INTERRUPTED:
        return [f"STOPPED  {name}", *(f"        {line}" for line in end[-1:] if SAVED in line)]
    lines = [f"FAILED  {name}", *(f"        {line.strip()}" for line in said.splitlines() if line.strip())]
    if log:
        lines += [f"        the end of {log}:", *(f"          {line}" for line in end)]
    lines += [f"        see also {other}" for other in logs if other != log and read_end(other)]
    return lines + [f"        {line}" for line in advise(end[-1] if end else "", "\n".join(end), status)]


def ends_in_error(logs: Iterable[str]) -> bool:
    """Whether a log ends in what a command says about its failure."""
    return any(MISTAKE.match(line) for log in logs for line in read_end(log, 1))


def read_end(log: str, number: int = LINES_OF_LOG) -> list[str]:
    """The last lines of a log that are not empty; none if it cannot be read."""
    try:
        text = Path(log).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return [line.rstrip() for line in text.splitlines() if line.strip()][-number:]


def advise(last: str, end: str, status: int) -> list[str]:
    """What to do about a failed job, from the last line of its log, the end of it, and its status."""
    again = "Then run the same command again: what is finished is kept."
    if last.startswith("natural-sparsity "):
        return [f"To do: see the line above. {again}"]
    if status in (-9, 137):
        return [
            "It was killed, most often because memory ran out. Run the same command again; training goes on inside the",
            "epoch. If it is killed again, use fewer --cores, or a smaller batch.",
        ]
    if "Traceback (most recent call last)" in end or MISTAKE.match(last):
        return ["This is a fault in the program, not in what you did: please report it, with this log."]
    return [f"To do: docs/faults.md lists what can go wrong. {again}"]


def translate_error(kind: str, message: str, targets: Iterable[str] = ()) -> str:
    """An error of Snakemake itself, in one line where the cause is known.

    Args:
        kind: the name of the exception.
        message: as Snakemake writes it, perhaps with a traceback.
        targets: the names that can be asked for.
    """
    if kind == "MissingRuleException" and (match := re.search(r"No rule to produce (.+?)(?: \(if you use|$)", message)):
        return refuse_target(match[1], targets)
    if kind in ("FileNotFoundError", "IsADirectoryError", "PermissionError") and "_get_overwrite_config" in message:
        match = re.search(rf"{kind}: \[Errno \d+\] (.+?): '(.+)'", message)
        reason, path = (match[1], match[2]) if match else ("cannot be read", "a file")
        return f"--configfile: {path}: {reason[0].lower()}{reason[1:]}; correct the path. {TARGETS_FIRST}"
    if kind == "WorkflowError" and "At least one job did not complete successfully" in message:
        return ""
    return message.strip()


def refuse_target(name: str, targets: Iterable[str]) -> str:
    """What to say of a target that is neither the name of one nor a file that a rule makes."""
    if "/" in name:
        return f"{name}: no rule makes this file; check the experiment, data, model, seed and checkpoint in its path"
    near = difflib.get_close_matches(name, targets, n=1)
    guess = f"; did you mean {near[0]}?" if near else "."
    return f"{name}: no such target{guess} snakemake --list-target-rules lists all."


TARGETS_FIRST = (
    "Targets go before --configfile, since every word after it is a file: snakemake --cores 2 fig2 --configfile FILE"
)


def translate(message: str) -> str:
    """A message of Snakemake for its users; empty if it is of no use to them."""
    if message.startswith(PROVENANCE):
        return "Changes of code and settings do not count with --rerun-triggers mtime."
    if message.startswith("Terminating processes on user request"):
        return "Stopping; a job that trains saves first."
    return "" if BOILERPLATE.match(message) else message.strip()
