"""The claims over the seeds of a run: in how many each holds, and the verdict on intervals over seeds."""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from natural_sparsity import files
from natural_sparsity.analysis.claims import TEXT
from natural_sparsity.analysis.products import GROUP, check_same, find_origin, read_origin
from natural_sparsity.analysis.rules import (
    ALSO,
    COMPARED,
    NOT_TESTABLE,
    PREMISE,
    VERDICTS,
    YES,
    Bound,
    Effect,
    Evidence,
    Interval,
    Value,
    conclude,
    format_differences,
    format_interval,
    format_range,
    mark_shown,
    name_evidence,
    name_verdict,
)
from natural_sparsity.analysis.statistics import t_interval
from natural_sparsity.analysis.verdicts import COLUMNS, Comparison, qualify
from natural_sparsity.corpus.vocabulary import in_units
from natural_sparsity.errors import UserError
from natural_sparsity.tables.writer import Grid, Table

# What the claims of several seeds have in common.
SAME = (*GROUP, "statistics", "words", "vocabulary", "tokens", "probe", "control", "unit")
VALUES = COLUMNS[COLUMNS.index("part") :]
FIXED = ["quantity", "above", "below", "effect", "effect_reason"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the table's inputs."""
    parser.add_argument(
        "--claims", type=Path, nargs="+", required=True, help="Parquet of the claims, one file per seed"
    )


def tabulate(args: argparse.Namespace) -> Table:
    """A row for each value with its interval over seeds, and a grid with a row for each claim.

    Raises:
        UserError: the files do not belong together.
    """
    frames, made_from = read_claims(args.claims)
    level = made_from["statistics"]["level"]
    controls = [name for name in COMPARED if any(frame[f"in_{name}"].notna().any() for frame in frames)]
    rows = [row for claim in frames[0]["claim"].unique() for row in join(claim, frames, level, controls)]
    about = {key: frames[0][key].iloc[0] for key in GROUP}
    columns = ["claim", "kind", "statement", "rule", "verdict", "also", "because"]
    columns += ["seeds", *VERDICTS, "seeds_also", *VALUES]
    table = pd.DataFrame(rows, columns=columns).astype({"part": "Int64", "shown": "boolean"}).assign(**about)
    seeds = sorted(int(frame["seed"].iloc[0]) for frame in frames)
    metadata = about | {"seeds": seeds, "claims": {str(path): files.read_digest(path) for path in args.claims}}
    introduction = in_units(introduce(seeds, level), made_from["unit"])
    return Table(table, [lay_out(table)], introduction, metadata=metadata)


def read_claims(paths: Sequence[Path]) -> tuple[list[pd.DataFrame], dict[str, Any]]:
    """The claims of each seed, and the metadata that they have in common: :data:`SAME`.

    Raises:
        UserError: a file is no claims table, has other claims than the first, is of another run, was judged against
            another control, or is of the same seed.
    """
    given = {path: read_origin(path, SAME, "tabulate claims")[1] for path in paths}
    check_same({path: {key: about[key] for key in SAME} for path, about in given.items()})
    seeds: dict[int, Path] = {}
    frames = []
    for path in paths:
        about = given[path]
        frame = files.read_parquet(path, [*COLUMNS, "seed", *GROUP])
        seed = find_origin(about).seed
        if seed in seeds:
            raise UserError(f"{path}: a second file of seed {seed}, besides {seeds[seed]}; give one per seed")
        seeds[seed] = path
        frames.append(frame)
        if list(frame["claim"].unique()) != list(frames[0]["claim"].unique()):
            raise UserError(f"{path}: has other claims than {paths[0]}; make both again with tabulate claims")
    return frames, given[paths[0]]


def join(claim: str, frames: Sequence[pd.DataFrame], level: float, controls: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of one claim: its verdicts in the seeds, and each value over the seeds that have it.

    ``controls``: which of :data:`COMPARED` there are.
    """
    parts = [frame[frame["claim"] == claim] for frame in frames]
    firsts = [part.iloc[0] for part in parts]
    counts = {verdict: sum(first["verdict"] == verdict for first in firsts) for verdict in VERDICTS}
    also = [f"{n} {name}" for name in ALSO if (n := sum(first["also"] == name for first in firsts))]
    head = {key: firsts[0][key] for key in ("claim", "kind", "statement", "rule")}
    head |= {"verdict": "", "also": "", "because": "", "seeds": len(frames), **counts, "seeds_also": ", ".join(also)}
    judged = [part.reset_index(drop=True) for part in parts if part["value"].notna().all()]
    if not judged:
        return [head]
    if len(set(map(len, judged))) > 1:
        raise UserError(
            f"--claims: {claim!r} has more values in one seed than in another; probe the same epochs of each seed"
        )
    items = [pd.DataFrame([part.iloc[i] for part in judged]) for i in range(len(judged[0]))]
    evidence = mark_shown(find_evidence(items, level))
    if head["kind"] == TEXT:  # it is the same for every seed
        head["verdict"], head["because"] = firsts[0]["verdict"], firsts[0]["because"]
    elif len(judged) > 1:
        head["verdict"], head["because"] = conclude(evidence)
        if any(item.is_effect for item in evidence):
            there = [item.holds == YES for item in evidence]
            others = {name: compare(items, there, name, level) if name in controls else None for name in COMPARED}
            head["also"] = qualify(head["verdict"], **others)
    return [{**head, **describe(item, rows, level)} for item, rows in zip(evidence, items, strict=True)]


def compare(items: Sequence[pd.DataFrame], there: Sequence[bool], name: str, level: float) -> Comparison:
    """The same claim on a control, over the seeds in which it can be judged there.

    Args:
        items: the rows of each of the claim's values, one per seed.
        there: whether each value, over the seeds, lies in its range.
        name: the control, one of :data:`COMPARED`.
        level: of the intervals.
    """
    compared = [i for i, rows in enumerate(items) if rows[name].notna().sum() > 1]
    differences = dict(zip(compared, find_evidence([items[i] for i in compared], level, name), strict=True))
    decides = any(
        there[i] and (each.joint.low > 0 if each.bound.side > 0 else each.joint.high < 0)
        for i, each in differences.items()
    )
    own = f"in_{name}"
    if any(rows[own].notna().sum() < 2 for rows in items):
        return Comparison(NOT_TESTABLE, decides)
    return Comparison(conclude(mark_shown(find_evidence(items, level, own)))[0], decides)


def find_evidence(items: Sequence[pd.DataFrame], level: float, column: str = "value") -> list[Evidence]:
    """Each value over the seeds that have it, with its t interval and one that covers the claim's values at once.

    The latter is Bonferroni's. Premises are a family of their own, as if what the claim rests on were a claim.

    Args:
        items: the rows of each value, one per seed.
        level: of the intervals.
        column: the values, or a control's, or the differences from a control.
    """
    premises = [rows["quantifier"].iloc[0] == PREMISE for rows in items]
    evidence = []
    for rows in items:
        first = rows.iloc[0]
        found = rows[column].dropna().to_numpy(float)
        mean, *own = t_interval(found, level)
        number = premises.count(first["quantifier"] == PREMISE)
        _, *joint = t_interval(found, 1 - (1 - level) / number)
        effect = Effect(first["effect"], first["effect_reason"])
        value = Value(" / ".join(rows["evidence"].unique()), np.array([mean]), len(found), first["quantity"])
        bound = Bound(value, effect, first["above"], first["below"])
        narrow, wide = (Interval(*ends, *ends) for ends in (own, joint))
        evidence.append(Evidence(bound, int(first["part"]), first["quantifier"], narrow, wide))
    return evidence


def describe(item: Evidence, rows: pd.DataFrame, level: float) -> dict[str, Any]:
    """A value over the seeds as columns; what is defined for several seeds only is empty for one."""
    result = {"part": item.part, "quantifier": item.quantifier, "shown": item.shown, "evidence": item.bound.value.name}
    result |= {key: rows[key].iloc[0] for key in FIXED}
    result |= {"value": item.value, "low": item.interval.low, "high": item.interval.high, "n": len(rows)}
    result |= {"low_all": item.joint.low, "high_all": item.joint.high, "holds": item.holds if len(rows) > 1 else ""}
    for name in COMPARED:
        result[f"in_{name}"] = rows[f"in_{name}"].mean()
        found = rows[name].dropna().to_numpy(float)
        ends = t_interval(found, level) if len(found) else (math.nan,) * 3
        result |= dict(zip((name, f"{name}_low", f"{name}_high"), ends, strict=True))
    return result


def introduce(seeds: Sequence[int], level: float) -> str:
    """What the verdicts rest on."""
    if len(seeds) == 1:
        return (
            f"Claims of Saphra & Lopez 2019 on seed {seeds[0]} alone. This is one draw: nothing here shows how much"
            " another seed would differ. Add seeds to the run to get intervals over them."
        )
    return (
        f"Claims of Saphra & Lopez 2019 on {len(seeds)} seeds ({', '.join(map(str, seeds))}). “Seeds” counts the"
        " verdicts of the single seeds; their intervals are over words, and say how far a value would move with other"
        f" words. Means and {100 * level:g} % t intervals are over seeds: they say how far a value would move with"
        " another training on the same text. The verdict over seeds applies the same rules to these t intervals, and"
        " what it says of controls rests on theirs;"
        " intervals that cover all values of a claim at once are Bonferroni's. “n of m seeds”: only n seeds have the"
        " value. If the learning rate drops at different epochs, a value that depends on the drop is taken at each"
        " seed's own epochs, and its name gives them all."
    )


def lay_out(table: pd.DataFrame) -> Grid:
    """A row per claim."""
    lines = []
    for _, rows in table.groupby("claim", sort=False):
        first = rows.iloc[0]
        counts = [f"{first[verdict]} {verdict}" for verdict in VERDICTS if first[verdict]]
        held = "<br>".join([*counts, *([f"({first['seeds_also']})"] if first["seeds_also"] else [])])
        sizes = rows.groupby("part").size()
        shown = rows[rows["shown"].fillna(False).astype(bool)].to_dict("records")
        values = [write_value(row, sizes[row["part"]]) for row in shown]
        verdict = name_verdict(first["verdict"], first["also"]) or (
            "one draw" if first["seeds"] == 1 else "fewer than two seeds have values"
        )
        reason = f", because {first['because']}" if first["because"] else ""
        lines.append([first["statement"], first["rule"], held, "<br>".join(values) or "none", f"**{verdict}**{reason}"])
    return Grid(["Claim", "Rule", "Seeds", "Mean over seeds", "Verdict over seeds"], lines)


def write_value(row: dict[Any, Any], size: int) -> str:
    """A value over the seeds as a line; ``size``: the values of its part."""
    name = name_evidence(row["evidence"], row["quantifier"], size)
    edges = row["above"], row["below"]
    some = "" if row["n"] == row["seeds"] else f" ({row['n']} of {row['seeds']} seeds)"
    if math.isnan(row["low"]):
        return f"{name}{some} = {row['value']:z.3f}".replace("-", "−")
    shown = format_interval(row["value"], row["low"], row["high"], *edges)
    text = f"{name}{some} = {shown}: {format_range(*edges)}? {row['holds']}"
    return text + format_differences(row)
