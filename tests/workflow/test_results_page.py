"""docs/files.md names every column of the files that it is about, and no other."""

import re

import pyarrow.parquet as pq
import pytest
from harness import ROOT

from natural_sparsity import files

PAGE = (ROOT / "docs/files.md").read_text(encoding="utf-8")
DATA, RUN, EXPERIMENT = "results/data/tiny", "results/runs/tiny/small/seed1", "results/experiments/tiny"
PROBE, MODEL = f"{EXPERIMENT}/tiny/small/seed1/frozen", f"{EXPERIMENT}/tiny/small/frozen"
CORRELATIONS = "### `correlations.parquet`"
PARTIALS = "### `partials.parquet`"
CLAIMS = "### `claims.parquet` and"
ACQUISITION = "### `acquisition.parquet`"
# Each file, and the sections that its columns are in.
SECTIONS = {
    f"{DATA}/vocabulary.parquet": ["### `vocabulary.parquet`"],
    f"{DATA}/words.parquet": ["### `words.parquet`"],
    f"{DATA}/types.parquet": ["### `types.parquet`"],
    f"{DATA}/thresholds.parquet": ["### `thresholds.parquet`"],
    f"{DATA}/tokens/documents.parquet": ["### `tokens/documents.parquet`"],
    f"{RUN}/epoch1/frozen.parquet": ["### `frozen.parquet`"],
    f"{PROBE}/correlations.parquet": [CORRELATIONS],
    f"{PROBE}/differences.parquet": [CORRELATIONS, "### `differences.parquet`"],
    f"{PROBE}/partials.parquet": [CORRELATIONS, PARTIALS],
    f"{PROBE}/claims.parquet": [CLAIMS],
    f"{MODEL}/verdicts.parquet": [CLAIMS],
    f"{PROBE}/acquisition.parquet": ["### `words.parquet`", ACQUISITION],
    f"{MODEL}/acquisition.parquet": [CORRELATIONS, CLAIMS, ACQUISITION, PARTIALS],
    f"{EXPERIMENT}/comparison.parquet": ["### `comparison.parquet`"],
}


def read_section(title: str) -> str:
    [section] = re.findall(rf"^{re.escape(title)}.*?(?=^##|\Z)", PAGE, flags=re.MULTILINE | re.DOTALL)
    return section


def read_columns(finished, path: str) -> set[str]:
    return set(pq.read_schema(finished.folder / path).names)


@pytest.mark.parametrize("path", SECTIONS)
def test_every_column_is_explained(finished, path):
    named = {name for title in SECTIONS[path] for name in re.findall("`([^`]+)`", read_section(title))}
    if "…_low" in named:
        named |= {f"{name}{end}" for name in named for end in ("_low", "_high")}
    assert read_columns(finished, path) - named == set()


@pytest.mark.parametrize("title", sorted({titles[0] for titles in SECTIONS.values() if len(titles) == 1}))
def test_every_column_explained_is_there(finished, title):
    rows = [row.split("|")[1] for row in read_section(title).splitlines() if row.startswith("| ")]
    paths = [path for path, titles in SECTIONS.items() if titles == [title]]
    assert set(re.findall("`([^`]+)`", "".join(rows))) <= set().union(*(read_columns(finished, path) for path in paths))


def test_every_field_of_a_checkpoint_is_explained(finished):
    state = files.read_json(finished.folder / f"{RUN}/epoch1/state.json")
    assert set(state) - set(re.findall("`([^`]+)`", read_section("### `state.json`"))) == {"format"}
