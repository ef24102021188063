"""The explorer's page: one folder that opens by double click, can be moved or sent, and needs no network."""

import argparse
import json
import shutil
from collections.abc import Mapping, Sequence
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

from natural_sparsity import files
from natural_sparsity.analysis.tensors import STATIC, write_tensor
from natural_sparsity.corpus.vocabulary import SPECIALS, UNITS
from natural_sparsity.errors import UserError
from natural_sparsity.explorer.names import SURPRISAL, check_names
from natural_sparsity.explorer.words import digest, read_words, write_script

# The scripts, in the order in which the page loads them: one for each concern.
SCRIPTS = (
    "view.js",
    "text.js",
    "terms.js",
    "style.js",
    "loading.js",
    "averaging.js",
    "choices.js",
    "scatter.js",
    "trajectories.js",
    "epochs.js",
    "tip.js",
    "search.js",
    "address.js",
    "main.js",
)
# Copied from this package to the folder of the page, to which plotly.min.js is added.
ASSETS = ("explorer.css", *SCRIPTS)
# How a measure of a tensor is written; one that is not here is called by its name.
WRITTEN = {"chi": "χ({})", "kurtosis": "κ₄({})", "l0": "ε-ℓ0({})", "l1": "‖{}‖₁", "l2": "‖{}‖₂"}
WRITTEN[SURPRISAL] = "surprisal (nats)"
NAMES = {"chi": "χ", "hoyer": "Hoyer", "gini": "Gini", "kurtosis": "κ₄", "l0": "ε-ℓ0", "l1": "ℓ1 norm", "l2": "ℓ2 norm"}
FACTS = ["data", "model", "seed", "condition", "key", "probe", "positions", "series", "words", "epochs"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="the folders that 'pack' wrote")
    parser.add_argument(
        "--words", type=Path, nargs="+", required=True, help="Parquet, the words that they were packed with"
    )
    parser.add_argument(
        "--units",
        nargs="+",
        choices=UNITS[:2],
        required=True,
        help="what tokens are, for each of --words in their order",
    )
    parser.add_argument(
        "--output", type=Path, required=True, help="out: index.html, above the folders; more next to it"
    )


def run(args: argparse.Namespace) -> None:
    """Write the page, its scripts and the words of each set of data."""
    folder = args.output.parent
    if len(args.words) != len(args.units):
        raise UserError(f"{len(args.words)} --words, {len(args.units)} --units: give one unit for each file of words")
    data = read_data(args.data, folder)
    vocabularies = {}
    for path, unit in zip(args.words, args.units, strict=True):
        words = read_words(path)
        vocabularies[digest(words)] = (words, unit)
    for path, entry in zip(args.data, data, strict=True):
        if entry["words_digest"] not in vocabularies:
            raise UserError(f"{path}: was packed with other words than those given; add its words to --words")
    for name, key in {entry["data"]: entry["words_digest"] for entry in data}.items():
        with files.atomic(folder / "words" / f"{name}.js") as temporary:
            temporary.write_text(write_script(name, *vocabularies[key]), encoding="utf-8")
    package = resources("natural_sparsity.explorer")
    for name in ASSETS:
        with files.atomic(folder / name) as temporary:
            temporary.write_text((package / name).read_text(encoding="utf-8"), encoding="utf-8")
    with files.atomic(folder / "plotly.min.js") as temporary:
        shutil.copyfile(str(resources("plotly") / "package_data" / "plotly.min.js"), temporary)
    page = (package / "page.html").read_text(encoding="utf-8")
    scripts = "\n".join(f'<script src="{name}"></script>' for name in ("plotly.min.js", *SCRIPTS))
    with files.atomic(args.output) as temporary:
        whole = page.replace("SCRIPTS", scripts).replace("MANIFEST", embed(list_choices(data)))
        temporary.write_text(whole, encoding="utf-8")


def read_data(folders: Sequence[Path], above: Path) -> list[dict[str, Any]]:
    """What the packed folders hold, each with its place below the page's folder ``above``.

    Raises:
        UserError: a folder was not packed, has names that no run gives, does not lie below the page's, or is of the
            same run and condition as another; or folders of one name of data were packed with different words.
    """
    data: list[dict[str, Any]] = []
    for path in folders:
        entry = files.read_json(path / "data.json", [*FACTS, "words_digest"])
        check_names(path / "data.json", entry, entry["series"])
        if not path.is_relative_to(above):
            raise UserError(f"{path}: does not lie below {above}; pack into a folder there")
        for other in data:
            if other["key"] == entry["key"]:
                raise UserError(f"{path}: {entry['key']} is given twice; give it once")
            if other["data"] == entry["data"] and other["words_digest"] != entry["words_digest"]:
                raise UserError(f"{path}: was packed with other words than {other['folder']}; pack both again")
        data.append(
            {key: entry[key] for key in [*FACTS, "words_digest"]} | {"folder": path.relative_to(above).as_posix()}
        )
    return data


def embed(value: Any) -> str:
    """JSON that can stand within a script element, whatever its strings hold."""
    return json.dumps(value, allow_nan=False).replace("<", "\\u003c")


def list_tensor(tensor: str) -> str:
    """What a list calls a tensor."""
    return f"static gradient {write_tensor(tensor)}" if tensor == STATIC else write_tensor(tensor)


def list_choices(data: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What there is to choose from, and how it is called."""
    measures = {name for entry in data for name in entry["series"]}
    tensors = {
        name for entry in data for roles in entry["series"].values() for names in roles.values() for name in names
    }
    return {
        "data": data,
        "measures": {name: [NAMES.get(name, name), WRITTEN.get(name, f"{name}({{}})")] for name in sorted(measures)},
        "tensors": {name: [list_tensor(name), write_tensor(name)] for name in sorted(tensors)},
        "specials": len(SPECIALS),
    }
