"""Write configuration.md from the schema: ``python docs/make_configuration.py``. A test keeps the two together."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
INTRODUCTION = """# Configuration

`config.yaml` is the default run; `--configfile FILE` goes on top of it: blocks are merged key by key, lists are
replaced. This page is made from `workflow/schemas/config.schema.yaml`, which refuses everything that is not here. A
default of "required" means that there is none.

| Key | Type | Default | Meaning |
| --- | --- | --- | --- |
"""


def rows(schema: dict[str, Any], path: str, definitions: dict[str, Any], required: bool = False) -> Iterator[str]:
    """The table's rows for a schema and everything below it."""
    schema = resolved(schema, definitions)
    if path and "description" in schema:
        default = "required" if required else json.dumps(schema["default"]) if "default" in schema else ""
        default = "" if default == "{}" else default
        yield f"| `{path}` | {type_of(schema)} | {default} | {schema['description']} |"
    prefix = f"{path}." if path else ""
    for key, entry in schema.get("properties", {}).items():
        yield from rows(entry, prefix + key, definitions, key in schema.get("required", []))
    for alternative in schema.get("oneOf", []):
        yield from rows({"properties": resolved(alternative, definitions).get("properties", {})}, path, definitions)
    if isinstance(schema.get("additionalProperties"), dict):
        yield from rows(schema["additionalProperties"], f"{prefix}NAME", definitions)
    if path == "runs":
        yield from rows(schema["items"], "runs[]", definitions)


def resolved(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """The schema with what its ``$ref`` names, under what stands beside it."""
    return {**definitions.get(schema.get("$ref", "").removeprefix("#/$defs/"), {}), **schema}


def type_of(schema: dict[str, Any]) -> str:
    """The type, its bounds and choices, in a few words."""
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if "oneOf" in schema and "type" not in schema:
        return " or ".join(dict.fromkeys(alternative.get("type", "object") for alternative in schema["oneOf"]))
    kind = schema.get("type", "")
    words = [" or ".join(kind) if isinstance(kind, list) else kind]
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    words += [f"{sign} {schema[key]}" for key, sign in signs.items() if key in schema]
    return " ".join(words)


def page() -> str:
    """The whole page."""
    schema = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text(encoding="utf-8"))
    definitions = schema["$defs"]
    table = "\n".join(dict.fromkeys(rows(schema, "", definitions)))
    return INTRODUCTION + table + "\n"


if __name__ == "__main__":
    (ROOT / "docs/configuration.md").write_text(page(), encoding="utf-8")
