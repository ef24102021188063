"""The paper's statements judged on one run: the values that decide each, and the verdict."""

import argparse
from pathlib import Path
from typing import Any

import pandas as pd

from natural_sparsity import files
from natural_sparsity.analysis.bootstrap import Measured, Resamples
from natural_sparsity.analysis.claims import EFFECTS
from natural_sparsity.analysis.correlate import Probes
from natural_sparsity.analysis.products import check_chain, check_same, find_drops, read_checkpoints, read_states
from natural_sparsity.analysis.rules import (
    ALSO_SHUFFLED,
    ALSO_UNTRAINED,
    LEAST_WORDS,
    MONTE_CARLO,
    UNDECIDED_SHUFFLED,
    format_differences,
    format_interval,
    format_range,
    name_evidence,
    name_verdict,
)
from natural_sparsity.analysis.tensors import STATIC
from natural_sparsity.analysis.values import Run
from natural_sparsity.analysis.verdicts import LEAST_EPOCHS, judge_all
from natural_sparsity.analysis.word_sets import COLUMNS
from natural_sparsity.config.base import read_block
from natural_sparsity.config.statistics import Statistics
from natural_sparsity.corpus.vocabulary import UNITS, read_by_id
from natural_sparsity.errors import UserError
from natural_sparsity.identity import check_run
from natural_sparsity.settings import add_expect_option, add_statistics_option
from natural_sparsity.tables.writer import Grid, Table

# Claims are about χ, and about one norm.
MEASURES = ["chi", "l1"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the table's inputs."""
    help_text = "Parquet, one file per epoch, with that of the untrained model if there is one"
    parser.add_argument("--probes", type=Path, nargs="+", required=True, help=help_text)
    parser.add_argument("--words", type=Path, required=True, help="Parquet: vocabulary with classes and counts")
    parser.add_argument("--checkpoints", type=Path, nargs="+", required=True, help="state.json, one file per epoch")
    help_text = "Parquet, as --probes, for the control: the same model and seed on this run's text in random order"
    parser.add_argument("--control-probes", type=Path, nargs="*", default=[], help=help_text)
    add_statistics_option(parser)
    parser.add_argument(
        "--unit", choices=UNITS, default="word", help="what the data's tokens are (default %(default)s)"
    )
    add_expect_option(parser)


def tabulate(args: argparse.Namespace) -> Table:
    """A row for each piece of evidence, with its run; and a grid with a row for each claim.

    Raises:
        UserError: the files do not belong together.
    """
    settings = read_block(Statistics, args.statistics, "statistics")
    words = read_by_id(args.words, COLUMNS)
    probes = open_probes(args.probes, args.words)
    for path, about in zip(probes.paths, probes.about, strict=True):
        check_run(path, about, args.expect)
    if set(probes.epochs) == {0}:
        raise UserError(f"{probes.paths[0]}: is of the untrained model; give the probes of trained checkpoints as well")
    dropped = read_drops(args.checkpoints, probes)
    resamples = Resamples(words, settings.resamples, settings.seed)
    run = Run(measure(probes, resamples), dropped)
    control_probes = open_probes(args.control_probes, args.words) if args.control_probes else None
    control = None
    if control_probes:
        check_control(control_probes, probes)
        control = Run(measure(control_probes, resamples), dropped)
    rows = judge_all(run, settings.level, control, args.unit)
    about = probes.origin._asdict() | {"condition": probes.condition}
    shuffled = control_probes.origin.data if control_probes else None
    made_from = {
        "statistics": settings.model_dump(),
        "words": files.read_digest(args.words),
        "control": shuffled,
        "unit": args.unit,
        **probes.name_sources(),
    }
    return Table(
        rows.assign(**about),
        [lay_out(rows), list_effects(args.unit)],
        introduce(run, shuffled, resamples.resamples, settings.level, args.unit),
        explain(args.unit),
        metadata=about | made_from,
    )


def open_probes(paths: list[Path], words: Path) -> Probes:
    """The probes of one run at the ends of its epochs.

    Raises:
        UserError: one is of a checkpoint inside an epoch, or of other words.
    """
    probes = Probes.open(paths)
    check_chain(paths, words=words)
    for path, about in zip(probes.paths, probes.about, strict=True):
        if not about["epoch"] and about["steps"]:
            raise UserError(
                f"{path}: is of {about['checkpoint']}, inside the first epoch; give the probes of whole epochs only"
            )
    return probes


def measure(probes: Probes, resamples: Resamples) -> Measured:
    """What the probes hold that claims are about."""
    shape = -1, len(probes.tensors), len(probes.measures)
    tensors = [name for name in probes.tensors if name != STATIC]
    measures = [name for name in MEASURES if name in probes.measures]
    columns = [probes.tensors.index(name) for name in tensors]
    places = [probes.measures.index(name) for name in measures]
    means = {}
    for i, epoch in enumerate(probes.epochs):
        values = probes.read(i, len(resamples.counts))
        means[epoch] = values.reshape(len(values), *shape)[:, :, columns][..., places]
    return Measured(means, tensors, measures, resamples)


def read_drops(checkpoints: list[Path], probes: Probes) -> list[int]:
    """The epochs after which the learning rate dropped.

    Raises:
        UserError: the checkpoints are not those of the probes' run, or lack one.
    """
    others = set(read_states(checkpoints)) - {probes.origin}
    if others:
        raise UserError(f"--checkpoints: one is of {others.pop()}, but --probes are of {probes.origin}; leave it out")
    check_chain(probes.paths, checkpoints)
    states = read_checkpoints(checkpoints)
    missing = sorted(set(probes.epochs) - {0} - set(states["epoch"]))
    if missing:
        raise UserError(f"--checkpoints: --probes have epoch {missing[0]}, but its state.json is missing; add it")
    return find_drops(states, states.loc[states["epoch"].isin(probes.epochs), "epoch"])


def check_control(control: Probes, probes: Probes) -> None:
    """Refuse a control that cannot be compared value by value.

    Raises:
        UserError: it is of another model, seed, condition or vocabulary, of the same data, or of other epochs.
    """
    same = ("model", "seed", "condition", "measures", "probe", "vocabulary")
    given = [(found, {key: found.about[0][key] for key in same}) for found in (probes, control)]
    check_same({found.paths[0]: {**fields, "tensors": found.tensors} for found, fields in given})
    if any(control.about[0][key] == probes.about[0][key] for key in ("data", "tokens")):
        raise UserError(
            f"{control.paths[0]}: was probed on the run's own text; give the probes of the shuffled control"
        )
    if set(control.epochs) != set(probes.epochs):
        epochs = sorted(set(control.epochs) ^ set(probes.epochs))
        raise UserError(
            f"--control-probes: only one of the run and its control has epoch {epochs[0]}; probe it in both"
        )


def introduce(run: Run, control: str | None, resamples: int, level: float, unit: str) -> str:
    """What the verdicts rest on."""
    lowered = f"dropped after epoch {', '.join(map(str, run.dropped))}" if run.dropped else "never dropped"
    course = f"{len(run.epochs)} trained epochs; the learning rate {lowered}"
    course = "One trained checkpoint" if len(run.epochs) == 1 else course
    found = "The untrained model was probed." if 0 in run.measured.epochs else "The untrained model was not probed."
    found += (
        f" Control: the same model trained on this text shuffled ({control})."
        if control
        else " No control on shuffled text was given, so nothing here shows which effects need language."
    )
    return (
        "Claims of Saphra & Lopez 2019, judged on a single run: it is one draw of initial weights and dropout, and"
        f" another seed may give other verdicts. {course}. {found} Brackets hold"
        f" {100 * level:g} % intervals from {resamples:,} bootstrap resamples of the {unit}s."
    )


def explain(unit: str) -> str:
    """How the verdicts come about."""
    return (
        "Reproduced: every interval lies inside its range. Not reproduced: one lies outside. Undecided: neither. If a"
        " claim is about several values, intervals that cover all of them at once (max-t, columns low_all and high_all)"
        " decide whether it is not reproduced, and whether “at least one” value lies inside its range. An end of an"
        f" interval must clear the end of the range by {MONTE_CARLO} of its Monte-Carlo standard errors. Every value"
        f" needs {LEAST_WORDS} {unit}s. A claim about a course of training needs {LEAST_EPOCHS} epochs, all probed;"
        " with fewer, the first epoch, the ends of the thirds and the middle of training would coincide.\n\n"
        "If an effect is claimed, the untrained model and the control are judged by the same rule. The value that is"
        " the effect, not one that it only depends on, is compared with theirs in the same resamples: “minus untrained”"
        " and “minus shuffled” are what is left, with intervals that cover all of a claim's differences at once."
        f" “{ALSO_UNTRAINED}”: the untrained model"
        f" meets the claim, so the effect is no finding about training. “{ALSO_SHUFFLED}”: the control meets the claim,"
        f" and no difference shows that real text has more of the effect. “{UNDECIDED_SHUFFLED}”: the control does not"
        " meet the claim, but no difference shows that real text has more of the effect either. None of these: a"
        " difference shows it, or no control was given, or the claim is not reproduced."
    )


def lay_out(rows: pd.DataFrame) -> Grid:
    """A row per claim."""
    lines = []
    for _, part in rows.groupby("claim", sort=False):
        first = part.iloc[0]
        sizes = part.groupby("part")["value"].size()
        shown = part[part["shown"].fillna(False).astype(bool)]
        evidence = [write_evidence(row, sizes[row["part"]]) for row in shown.to_dict("records")]
        verdict = f"**{name_verdict(first['verdict'], first['also'])}**"
        verdict += f", because {first['because']}" if first["because"] else ""
        lines.append([first["statement"], first["rule"], "<br>".join(evidence) or "none", verdict])
    return Grid(["Claim", "Rule", "Evidence", "Verdict"], lines)


def write_evidence(row: dict[Any, Any], size: int) -> str:
    """A piece of evidence as a line, with its differences from the controls; ``size``: the values of its part."""
    edges = row["above"], row["below"]
    name = name_evidence(row["evidence"], row["quantifier"], size)
    text = f"{name} = {format_interval(row['value'], row['low'], row['high'], *edges)}"
    text += f", n = {row['n']:,}: {format_range(*edges)}? {row['holds']}"
    return text + format_differences(row)


def list_effects(unit: str) -> Grid:
    """The smallest effects that count, and why."""
    rows = [[f"{effect.size:g}", effect.reason.replace("word", unit)] for effect in EFFECTS]
    return Grid(["Smallest effect", "Why"], rows, "The ranges end at the smallest effects that count:")
