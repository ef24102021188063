"""The explorer's page: one folder to open by double click, to move or to send, which asks no network for anything."""

import argparse
import json
import shutil
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

from natural_sparsity import files
from natural_sparsity.corpus.vocabulary import SPECIALS, UNITS
from natural_sparsity.errors import UserError

ASSETS = ("explorer.css", "explorer.js")
# How a measure of a tensor is written; one that is not here is called by its name.
WRITTEN = {"chi": "χ({})", "kurtosis": "κ₄({})", "l0": "ε-ℓ0({})", "l1": "‖{}‖₁", "l2": "‖{}‖₂"}
NAMES = {"chi": "χ", "hoyer": "Hoyer", "gini": "Gini", "kurtosis": "κ₄", "l0": "ε-ℓ0", "l1": "ℓ1 norm", "l2": "ℓ2 norm"}
SUPERSCRIPTS = str.maketrans("0123456789e", "⁰¹²³⁴⁵⁶⁷⁸⁹ᵉ")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="the folders that 'pack' wrote")
    parser.add_argument("--corpora", nargs="+", required=True, help="the corpora's names")
    parser.add_argument("--words", type=Path, nargs="+", required=True, help="Parquet, a file a corpus, in that order")
    parser.add_argument("--units", nargs="+", choices=UNITS[:2], required=True, help="what a corpus's tokens are")
    parser.add_argument("--output", type=Path, required=True, help="out: index.html, above the folders; more beside it")


def run(args: argparse.Namespace) -> None:
    """Write the page, its scripts and each corpus's words."""
    folder = args.output.parent
    if not len(args.corpora) == len(args.words) == len(args.units):
        given = f"{len(args.corpora)} --corpora, {len(args.words)} --words, {len(args.units)} --units"
        raise UserError(f"{given}: give one of each for every corpus")
    data = []
    for path in args.data:
        entry = files.read_json(
            path / "data.json", ["run", "condition", "probe", "positions", "measures", "tensors", "words", "epochs"]
        )
        if not path.is_relative_to(folder):
            raise UserError(f"{path}: does not lie below {folder}; pack into a folder there")
        if entry["run"].split("/")[0] not in args.corpora:
            raise UserError(f"{path}: of {entry['run']}, whose corpus is not among --corpora; add it and its --words")
        data.append(entry | {"folder": path.relative_to(folder).as_posix()})
    for corpus, path, unit in zip(args.corpora, args.words, args.units, strict=True):
        with files.atomic(folder / "words" / f"{corpus}.js") as temporary:
            temporary.write_text(words_script(corpus, path, unit), encoding="utf-8")
    package = resources("natural_sparsity.explorer")
    for name in ASSETS:
        with files.atomic(folder / name) as temporary:
            temporary.write_text((package / name).read_text(encoding="utf-8"), encoding="utf-8")
    with files.atomic(folder / "plotly.min.js") as temporary:
        shutil.copyfile(str(resources("plotly") / "package_data" / "plotly.min.js"), temporary)
    page = (package / "page.html").read_text(encoding="utf-8")
    with files.atomic(args.output) as temporary:
        temporary.write_text(page.replace("MANIFEST", embedded(manifest(data))), encoding="utf-8")


def embedded(value: Any) -> str:
    """JSON that can stand within a script element, whatever its strings hold."""
    return json.dumps(value, allow_nan=False).replace("<", "\\u003c")


def manifest(data: list[dict[str, Any]]) -> dict[str, Any]:
    """What there is to choose from, and how it is called."""
    measures = {name for entry in data for name in entry["measures"]}
    tensors = {name for entry in data for name in entry["tensors"]}
    return {
        "data": data,
        "measures": {name: [NAMES.get(name, name), WRITTEN.get(name, f"{name}({{}})")] for name in sorted(measures)},
        "tensors": {name: symbol(name) for name in sorted(tensors)},
        "specials": len(SPECIALS),
    }


def symbol(tensor: str) -> str:
    """How a tensor is written without mathematical typesetting: ``grad_h_2`` is ∇h²."""
    name = tensor.removeprefix("grad_")
    if name == "x":
        return "∇x" if tensor != name else "x̂"
    letter, _, index = name.partition("_")
    return ("∇" if tensor != name else "") + letter + index.translate(SUPERSCRIPTS)


def words_script(corpus: str, path: Path, unit: str) -> str:
    """The script that hands over what the words are, and their spelling, counts, parts of speech and classes, by id."""
    frame = files.read_parquet(path, ["id", "word", "count", "pos", "pos_class"])
    if frame["id"].tolist() != list(range(len(frame))):
        raise UserError(f"{path}: its ids are not 0, 1, 2 …; was another file given?")
    columns = {name: frame[name].astype(object).where(frame[name].notna(), None).tolist() for name in frame.columns[1:]}
    return f"explorer.receiveWords({json.dumps(corpus)}, {json.dumps({'unit': unit} | columns)});\n"
