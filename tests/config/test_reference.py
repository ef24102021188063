"""The schema for editors and the page for readers are those of the models, and say everything."""

import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from natural_sparsity.config import reference
from natural_sparsity.config.base import resolve
from natural_sparsity.config.configuration import Configuration

ROOT = Path(__file__).parents[2]
COMMAND = "run: python -m natural_sparsity.config.reference"
FILES = sorted(path.relative_to(ROOT) for path in [ROOT / "config.yaml", *ROOT.glob("experiments/*.yaml")])


def all_keys(schema):
    """Every key of every block, with the description that it has."""
    for block in (schema, *schema["$defs"].values()):
        for key, entry in block.get("properties", {}).items():
            yield key, resolve(entry, schema["$defs"]).get("description")


def test_the_files_are_those_of_the_models():
    assert (ROOT / reference.SCHEMA).read_text(encoding="utf-8") == reference.make_schema(), COMMAND
    assert (ROOT / reference.PAGE).read_text(encoding="utf-8") == reference.make_page(), COMMAND


def test_every_key_is_described_and_on_the_page():
    keys = list(all_keys(Configuration.model_json_schema()))
    assert len(keys) > 100
    assert [key for key, description in keys if not description] == []
    page = reference.make_page()
    assert [key for key, _ in keys if not any(f"{before}{key}` |" in page for before in ("| `", "."))] == []


@pytest.mark.parametrize("name", [*reference.KINDS, *reference.SPARSIFIERS])
def test_each_kind_and_method_has_all_its_keys_in_its_section(name):
    cls = {**reference.KINDS, **reference.SPARSIFIERS}[name]
    [section] = [
        part
        for part in reference.make_page().split("\n### ")
        if part.startswith((f"`kind: {name}`", f"`method: {name}`"))
    ]
    section = section.split("\n## ")[0]
    for key, field in cls.model_fields.items():
        [row] = [line for line in section.splitlines() if line.startswith(f"| `{key}` |")]
        assert ("**required**" in row) == field.is_required()


def test_the_schema_is_one():
    Draft202012Validator.check_schema(json.loads(reference.make_schema()))


@pytest.mark.parametrize("path", FILES, ids=str)
def test_an_editor_finds_the_schema_and_accepts_the_file(path):
    text = (ROOT / path).read_text(encoding="utf-8")
    head = text.splitlines()[0]
    assert head.startswith("# yaml-language-server: $schema=")
    schema = json.loads((ROOT / path.parent / head.split("=")[1]).read_text(encoding="utf-8"))
    assert [error.message for error in Draft202012Validator(schema).iter_errors(yaml.safe_load(text))] == []


@pytest.mark.parametrize(
    "written",
    [
        {"data": {"a": {"kind": "addition", "step": 5}}},
        {"models": {"a": {"sparsify": {"method": "qat", "of": "b", "bits": 9}}}},
        {"models": {"figures": {}}},
        {"probes": {"epoch1": {}}},
        {"figures": {"fig6": {}}},
        {"runs": [{"data": "a", "model": "b", "seeds": [1, 1]}]},
        {"device": "gpu"},
    ],
    ids=str,
)
def test_an_editor_marks_mistakes(written):
    assert not Draft202012Validator(json.loads(reference.make_schema())).is_valid(written)
