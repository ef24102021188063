"""docs/files.md has each file of a run with its columns; docs/python.md and the notebook run on the results."""

import ast
import csv
import json
import re
import shutil
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from harness import ROOT, Workflow

PAGE = ROOT / "docs/files.md"
# What the parts of a documented path stand for.
PARTS = {"seedN": r"seed\d+", "CHECKPOINT": r"(init|step\d+|epoch\d+)", r"\b(DATA|MODEL|NAME|PROBE|SHARD)\b": r"[^/]+"}
MEASURE = "chi"
# How the meaning of columns begins that some files lack.
OPTIONAL = "Only "
MODELS = {
    "imp": {"method": "iterative", "levels": 1, "fraction": 0.5},
    "torus": {"method": "moduli", "ramp": 1},
    "gates": {"method": "sparse_vd", "rewind": 1, "groups": ["weights", "gates", "neurons"], "learning_rate": 0.005},
    "bits": {"method": "qat", "bits": 4},
    "twin": {"method": "twin"},
}
RUN = {"data": "tiny", "seeds": [1], "epochs": 2}
EVERYTHING = {
    "data": {"mixed": {"kind": "shuffled", "of": "tiny"}},
    "models": {name: {"sparsify": {**block, "of": "small"}} for name, block in MODELS.items()},
    "runs": [
        *({**RUN, "data": data, "model": "small", "first_epoch_checkpoints": 2} for data in ("tiny", "mixed")),
        *({**RUN, "model": model} for model in MODELS),
    ],
}

# What writes the files that the finished run lacks.
OTHERS = ["comparison", "lottery", "footprint", "structure", "natural", "units", "moduli", "stability"]
OTHERS += ["results/experiments/tiny/tiny/small/frozen/figures/chi/emergence.csv"]


def read_page() -> dict[str, dict[str, bool]]:
    """The documented columns by file, and whether a run may lack them; headings without a table share the next one."""
    files: dict[str, dict[str, bool]] = {}
    headings: list[str] = []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if heading := re.fullmatch(r"### `(.+)`", line):
            shared = headings and not files[headings[-1]]
            headings = [*headings, heading[1]] if shared else [heading[1]]
            files[heading[1]] = {}
        elif line.startswith("## "):
            headings = []
        elif line.startswith("| `") and headings:
            _, names, meaning, _ = re.split(r"(?<!\\)\|", line, maxsplit=3)
            for name in re.findall(r"`([^`]+)`", names):
                for each in headings:
                    files[each][name.replace("MEASURE", MEASURE)] = meaning.strip().startswith(OPTIONAL)
    return files


def list_columns(path: Path) -> list[str]:
    """The columns of a file, or the fields of a JSON object."""
    if path.suffix == ".parquet":
        return pq.read_schema(path).names
    if path.suffix == ".json":
        return list(json.loads(path.read_text()))
    with path.open(newline="") as file:
        return next(csv.reader(file))


def find_section(path: str, sections: dict[str, dict[str, bool]]) -> str:
    """The heading that a file in results/ falls under; that of its Parquet form for the CSV of a table."""
    if "/figures/" in path:
        return f"figures/{Path(path).name}"
    path = re.sub(r"\.csv$", ".parquet", path)
    for heading in sections:
        pattern = re.escape(heading)
        for name, regex in PARTS.items():
            pattern = re.sub(name, lambda _, regex=regex: regex, pattern)
        if re.fullmatch(pattern, path):
            return heading
    return path


def gather(results: Path) -> dict[str, set[str]]:
    """The columns of all files under each heading; benchmarks are Snakemake's, the explorer's data are for its page."""
    sections, found = read_page(), defaultdict(set)
    for path in sorted(results.rglob("*")):
        place = path.relative_to(results)
        if path.suffix in (".parquet", ".json", ".csv") and not {"explorer", "benchmarks"} & set(place.parts):
            found[find_section(place.as_posix(), sections)] |= set(list_columns(path))
    return found


def check_page(results: Path) -> dict[str, set[str]]:
    """Compare the page with the files that there are; return what the files have."""
    sections, found = read_page(), gather(results)
    assert not (unknown := found.keys() - sections.keys()), f"not in {PAGE.name}: {unknown}"
    for heading, columns in found.items():
        documented = sections[heading]
        assert columns <= documented.keys(), f"{heading}: not in {PAGE.name}: {columns - documented.keys()}"
        required = {name for name, optional in documented.items() if not optional}
        assert required <= columns, f"{heading}: no file has {required - columns}"
    return found


def list_cells(path: Path) -> Iterator[str]:
    """The code cells of a notebook in percent format."""
    for cell in re.split(r"^# %%", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        if not cell.startswith(" [markdown]"):
            yield cell.partition("\n")[2]


def run_cells(cells: list[str], replaced: dict[str, str]) -> list[object]:
    """Run cells one after the other, as a notebook does; return the value of each that ends in an expression."""
    names: dict[str, object] = {}
    values = []
    for cell in cells:
        for old, new in replaced.items():
            cell = cell.replace(old, new)
        tree = ast.parse(cell)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, "cell", "exec"), names)
        if last:
            values.append(eval(compile(ast.Expression(last.value), "cell", "eval"), names))
    return values


def test_the_page_has_the_columns_of_every_file_of_a_run(finished):
    found = check_page(finished.folder / "results")
    assert len(found) > 25


def test_the_notebook_runs_on_the_results_of_a_run(finished, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")
    cells = list(list_cells(ROOT / "docs/notebook.py"))
    assert 10 <= len(cells) <= 15
    values = run_cells(cells, {"results/runs/sample/lstm": str(finished.folder / "results/runs/tiny/small")})
    shares = values[-3]
    assert shares.loc["grad_h_2", 0] > 0.9, "untrained, all positions of a word have the same gradient"
    assert shares.shape == (8, 3)


@pytest.fixture(scope="module")
def everything(finished, tmp_path_factory) -> Workflow:
    """The finished run with all else that the page describes: controls, checkpoints inside the first epoch, models."""
    workflow = Workflow(tmp_path_factory.mktemp("everything"))
    shutil.copytree(finished.folder, workflow.folder, dirs_exist_ok=True)
    workflow.run(*OTHERS, changes=EVERYTHING)
    return workflow


@pytest.mark.slow
def test_the_page_has_nothing_else(everything):
    found = check_page(everything.folder / "results")
    assert read_page().keys() - found.keys() == set(), "documented, but no run wrote it"


@pytest.mark.slow
def test_the_page_on_python_runs(everything, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.chdir(everything.folder)
    page = (ROOT / "docs/python.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) == page.count("```") / 2
    tiny = {"sample/lstm": "tiny/small", "epoch=8": "epoch=2", "data/sample": "data/tiny", "batch=40": "batch=10"}
    tiny |= {"experiments/controls": "experiments/tiny", '("sample", "shuffled")': '("tiny", "mixed")'}
    tiny |= {"both.correlations": "both.correlations.query(\"model == 'small'\")", "threshold=100": "threshold=30"}
    run_cells(blocks, tiny)
    assert (everything.folder / "fig3a.pdf").stat().st_size > 1000
