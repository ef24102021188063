"""Any value of any key is accepted, or refused in one line that names the key, before any job starts."""

import json
import math
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from natural_sparsity.config.architecture import Vectors
from natural_sparsity.config.base import Block, read_block
from natural_sparsity.config.configuration import Configuration
from natural_sparsity.config.data.source import Distribution, Download, Packaged
from natural_sparsity.config.methods.iterative import Settings as Iterative
from natural_sparsity.config.methods.moduli import Settings as Moduli
from natural_sparsity.config.reference import make_schema
from natural_sparsity.errors import UserError
from natural_sparsity.registry import METHODS, load

CHECKSUM = f"sha256:{'0' * 64}"
# A value for each key that has no default, and for keys whose default fits no other.
NEEDED = {
    "source": {"path": "text.txt"}, "train": {"path": "text.txt"}, "dev": {"path": "text.txt"},
    "test": {"path": "text.txt"}, "url": "https://x.org/a", "checksum": CHECKSUM, "path": "text.txt",
    "package": "gensim", "file": "a", "sdist": "a", "version": "1", "of": "lstm", "levels": 1, "end": 1.0, "ramp": 1,
    "groups": "gates", "format": "vader", "classes": 2, "data": "a", "model": "lstm", "strengths": {"gates": 1.0},
}  # fmt: skip
NUMBERS = [
    0, -0.0, -1, 1, 2, 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64, 10**12, 10**400, 16**5000, -(10**400), 0.5,
    1e-320, 1e30, 1e38, 1e308, -1e308, math.inf, -math.inf, math.nan, True, False,
]  # fmt: skip
TEXTS = [
    "", "\n", "a\n", "a\nb", "a\r", "a\0b", "\x1b[31m", "a\u2028b", "\ud800", "a" * 100_000, "$(touch x)", "'; touch x",
    "{a}", "-rf", "..", "../x", "/etc/passwd", "module://x", "null", "1e5", "\u202e",
]  # fmt: skip
OTHERS = [None, [], {}, [[]], {"a": 1}, {1: 2}, [None], [{"a": 1}] * 3, b"a", 1j, {"a"}]


def list_blocks() -> list[type[Block]]:
    """Every block of the configuration."""
    found = {Configuration}
    waiting: list[type[Block]] = [Block]
    while waiting:
        waiting += (classes := waiting.pop().__subclasses__())
        found |= set(classes)
    # A test that ran before may have defined blocks of its own.
    return sorted((each for each in found if each.__module__.startswith("natural_sparsity.")), key=str)


def minimal(cls: type[Block]) -> dict[str, Any] | None:
    """The least that a block can be read from; None for what is only a base of others."""
    fields = cls.model_fields
    values = {key: NEEDED[key] for key, field in fields.items() if field.is_required() and key in NEEDED}
    for key in ("kind", "method"):
        if key in fields:
            options = getattr(fields[key].annotation, "__args__", None)
            if not options:
                return None
            values[key] = options[0]
    if cls is load(METHODS["group_lasso"].settings).Settings:
        values["strengths"] = {"gates": 1.0}
    if cls is Vectors:
        values["format"] = "glove"
    return values


BLOCKS = {f"{cls.__module__}.{cls.__name__}": cls for cls in list_blocks() if minimal(cls) is not None}
del BLOCKS["natural_sparsity.config.configuration.Configuration"]
KEYS = [(name, key) for name, cls in BLOCKS.items() for key in cls.model_fields]


@pytest.mark.parametrize(("name", "key"), KEYS, ids=lambda text: text.removeprefix("natural_sparsity.config."))
def test_a_value_is_accepted_or_refused_with_its_key(name: str, key: str) -> None:
    cls = BLOCKS[name]
    plain = minimal(cls)
    values = NUMBERS + TEXTS + OTHERS
    if "list" in str(cls.model_fields[key].annotation):
        values = [*values, *([value] for value in values), *([value, value] for value in NUMBERS)]
    for value in values:
        try:
            block = read_block(cls, {**plain, key: value}, "block")
            assert_plain(block.model_dump(mode="json"))
        except UserError as error:
            message = str(error)
            assert message.isprintable(), message
            assert len(message) < 700
            assert message.startswith("block"), message
            # A sum of shares has no single key.
            assert key in message or message.endswith("add up to 1"), message


def assert_plain(value: Any) -> None:
    """Assert that a value goes through JSON, a command and a table unchanged."""
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            assert_plain(each)
    elif isinstance(value, int | float):
        assert math.isfinite(value)
        assert abs(value) < 2**63 if isinstance(value, int) else abs(value) < 3e38
    json.dumps(value)


@cache
def make_definitions() -> dict[str, Any]:
    """The JSON schema that is checked in."""
    return json.loads(make_schema())


def list_schemas(schema: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each schema in a schema, and where it is."""
    if isinstance(schema, dict):
        yield place, schema
    for key, value in schema.items() if isinstance(schema, dict) else enumerate(schema):
        if isinstance(value, dict | list):
            yield from list_schemas(value, f"{place}/{key}")


def test_every_number_has_bounds() -> None:
    numbers = {place: schema for place, schema in list_schemas(make_definitions()) if is_number(schema)}
    assert len(numbers) > 60
    for place, schema in numbers.items():
        assert schema.keys() & {"minimum", "exclusiveMinimum"}, place
        assert schema.keys() & {"maximum", "exclusiveMaximum"}, place


def is_number(schema: dict[str, Any]) -> bool:
    """Whether a schema is that of a number."""
    return schema.get("type") in ("integer", "number")


LINE_BREAKS = {
    (Download, "checksum"): CHECKSUM,
    (Download, "url"): "https://x.org/a",
    (Packaged, "package"): "gensim",
    (Packaged, "file"): "a",
    (Distribution, "sdist"): "a",
    (Distribution, "version"): "1",
    (Moduli, "space"): "torus6",
    (Iterative, "rewind"): "step64",
    (Configuration, "device"): "cuda:1",
    (Configuration, "name"): "mine",
}


def test_every_pattern_is_tested() -> None:
    patterns = {schema["pattern"] for _, schema in list_schemas(make_definitions()) if "pattern" in schema}
    tried = {
        option.get("pattern")
        for cls, key in LINE_BREAKS
        for schema in [cls.model_json_schema()["properties"][key]]
        for option in (schema, *schema.get("anyOf", []))
    }
    named = {"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$"}  # names of blocks, whose schema is not that of a key
    assert patterns - {pattern for pattern in patterns if pattern.startswith("^(figures|")} <= tried | named


@pytest.mark.parametrize(("cls", "key"), LINE_BREAKS, ids=str)
@pytest.mark.parametrize("ending", ["\n", "\r", "\u2028", "\0", " "], ids=ascii)
def test_no_pattern_accepts_a_trailing_line_break(cls: type[Block], key: str, ending: str) -> None:
    plain = {**minimal(cls), key: LINE_BREAKS[cls, key]}
    if cls is Configuration:
        plain |= {"data": {"a": {"kind": "addition"}}, "models": {"m": {}}, "runs": [{"data": "a", "model": "m"}]}
    read_block(cls, plain, "")
    if ending == " " and key in ("file", "url"):
        return
    with pytest.raises(UserError, match=f"^{key}: "):
        read_block(cls, {**plain, key: plain[key] + ending}, "")


@pytest.mark.parametrize("block", ["data", "models", "probes"])
@pytest.mark.parametrize("name", ["a\n", "a\0", "", "a" * 101, "-a", "a.b", "\ud800", "é"], ids=ascii)
def test_invalid_block_names_are_refused(block: str, name: str) -> None:
    config: dict[str, Any] = {
        "data": {"a": {"kind": "addition"}},
        "models": {"m": {}},
        "runs": [{"data": "a", "model": "m"}],
    }
    with pytest.raises(
        UserError,
        match=f"^{block}: .* cannot name a block; use up to 100 letters, digits, - and _; begin with a letter or digit",
    ):
        read_block(Configuration, {**config, block: {**config.get(block, {}), name: {"kind": "addition"}}}, "")
