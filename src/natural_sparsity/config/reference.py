"""Generate the configuration's JSON schema and reference page from its models.

``python -m natural_sparsity.config.reference`` in the folder of the repository writes the JSON schema with which an
editor completes keys, ``workflow/schemas/config.schema.json``, and the page ``docs/configuration.md``. A test checks
that both files are up to date.
"""

import json
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from natural_sparsity.config.architecture import Architecture
from natural_sparsity.config.base import Block, Schema, describe, join_words, resolve
from natural_sparsity.config.configuration import RESERVED, RESERVED_FOR_PROBES, Configuration
from natural_sparsity.config.data.base import Kind
from natural_sparsity.config.methods.base import Method, Needs, find_lack
from natural_sparsity.config.model import Model
from natural_sparsity.config.probe import Probe
from natural_sparsity.config.run import EpochsPerJob, Run
from natural_sparsity.config.statistics import Statistics
from natural_sparsity.config.style import Style
from natural_sparsity.config.training import Training
from natural_sparsity.registry import DATA, FIGURES, METHODS, load

SCHEMA = Path("workflow/schemas/config.schema.json")
PAGE = Path("docs/configuration.md")
KINDS: dict[str, type[Kind]] = {name: load(entry.settings).Settings for name, entry in DATA.items()}
SPARSIFIERS: dict[str, type[Method]] = {name: load(entry.settings).Settings for name, entry in METHODS.items()}
PREFIX = "natural_sparsity__config__"

INTRODUCTION = """# Configuration

Everything that an experiment depends on is in a configuration file. `config.yaml` is the default run, and the files in
`experiments/` are larger ones. They go on top of it:

```bash
snakemake --cores 2 --configfile experiments/lottery-small.yaml
```

Blocks are merged key by key, lists are replaced. Several files may follow `--configfile`, each on top of those before
it. `--config device=cpu` changes a key from the command line. Inside braces, numbers would arrive as text: put them
into a file instead.

The configuration is checked before any job starts. Unknown or duplicate keys, values out of bounds, contradictions and
texts that cannot be read are refused with one line: the file and its line, the key, and what to write instead. If the
YAML itself is malformed, Snakemake stops earlier, with `Config file is not valid JSON or YAML` and no line number. This
command finds that mistake and all others, and starts nothing:

```bash
natural-sparsity check experiments/mine.yaml
```

This page is generated from the code that checks the configuration, so it has every key. Keys are given relative to the
block that a section is about. A key that is **required** has no default; every other key may be left out. Defaults are
the values of the paper (Saphra & Lopez 2019) where it gives one.

## A small example

```yaml
data:
  mine: {source: {path: texts/mine.txt}, min_count: 5}
models:
  lstm: {}                                              # the paper's model
  small: {architecture: {embedding: 64, hidden: [64]}}  # one layer of 64 units
  tickets: {sparsify: {method: iterative, of: small, levels: 3}}
runs:
  - {data: mine, model: lstm}
  - {data: mine, model: small, seeds: [1, 2, 3], epochs: 20}
  - {data: mine, model: tickets, seeds: [1, 2, 3], epochs: 20}
```

A corpus that is published with its splits keeps them. The Penn Treebank, for example, has a sentence per line, is
tokenised, and its rare words are `<unk>` already:

```yaml
data:
  treebank:
    source: {train: {path: ptb.train.txt}, dev: {path: ptb.valid.txt}, test: {path: ptb.test.txt}}
    format: lines
    tokenised: true
    min_count: 1
```

## Completion in an editor

`workflow/schemas/config.schema.json` is a JSON schema of the configuration. With the YAML language server, an editor
completes keys, shows what they mean and marks mistakes. In Visual Studio Code, it comes with Red Hat's YAML extension;
for Neovim, Emacs, Helix and others, install `yaml-language-server`. The first line of a file names the schema, relative
to the file itself. For a file in `experiments/`:

```yaml
# yaml-language-server: $schema=../workflow/schemas/config.schema.json
```
"""
TOP = """Data, models and probes have names, which become names of files and folders: letters, digits, `-` and `_`. Some
are taken: {reserved}; for probes, {reserved_for_probes}."""
DATA_TEXT = """## Data

Each entry of `data` is something that models train on. Its `kind` says which keys it has.
"""
MODELS_TEXT = """## Models

Each entry of `models` is an architecture, its training, and how it is made sparse. Models are the same for all kinds of
data. A key that none of a model's data can use is refused if you set it.
"""
METHODS_TEXT = """## Sparsification

A model with a block `sparsify` is made sparse by a method. It is derived from a dense model, named by `of`, and takes
over that model's architecture and training. For each of its runs, the dense model needs a run on the same data with the
same seeds.

Some methods give a family of models. With `levels: 2`, a model `tickets` stands for `tickets-level1` and
`tickets-level2`, and a run of `tickets` for a run of each. Controls add models to the family: with
`controls: [random_mask]`, also `tickets-level1-random_mask` and `tickets-level2-random_mask`.

Most methods work on any recurrent model and on any data. The table shows where each one works; other runs are refused.
"""
RUNS_TEXT = """## Runs

Each entry of `runs` is a model that is trained on data. List each pair of model and data once, with all its seeds.
"""
PROBES_TEXT = """## Probes

Each entry of `probes` is a condition under which sparsity is measured, at every checkpoint of the runs that name it.
"""
FIGURES_TEXT = "Each entry of `figures` is the style of a figure, or of `all` of them. The figures are {figures}."


def main() -> None:
    """Write the schema and the page."""
    SCHEMA.write_text(make_schema(), encoding="utf-8")
    PAGE.write_text(make_page(), encoding="utf-8")


class Untitled(GenerateJsonSchema):
    """Pydantic's schema without titles that repeat the names of keys."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """No key has a title."""
        return False


def make_schema() -> str:
    """The JSON schema of a configuration file, as text."""
    schema = tidy(Configuration.model_json_schema(schema_generator=Untitled))
    # A file may lack what the file below it has.
    del schema["required"]
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Configuration of natural-sparsity"}
    text = json.dumps({**head, **schema}, indent=1, ensure_ascii=False)
    return re.sub(rf"{PREFIX}(\w+?)(__Settings)?\"", r'\1"', text) + "\n"


def tidy(schema: Any) -> Any:
    """A schema without titles and our own keywords; of each description, the first paragraph as one line."""
    if isinstance(schema, list):
        return [tidy(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    rest = {key: value for key, value in schema.items() if not (key in ("title", "only") and isinstance(value, str))}
    if isinstance(rest.get("description"), str):
        rest["description"] = take_first_paragraph(rest["description"])
    return {key: tidy(value) for key, value in rest.items()}


def take_first_paragraph(text: str) -> str:
    """The first paragraph of a docstring as one line of Markdown."""
    return " ".join(text.split("\n\n")[0].split()).replace("``", "`")


def make_page() -> str:
    """The page, as text."""
    figures = join_words([f"`{name}`" for name in FIGURES])
    parts = [
        INTRODUCTION,
        "## The whole\n",
        wrap(TOP.format(reserved=list_names(RESERVED), reserved_for_probes=list_names(RESERVED_FOR_PROBES))) + "\n",
        make_table(Configuration, nested=False),
        DATA_TEXT,
        *(make_section(f"`kind: {name}`", kind) for name, kind in KINDS.items()),
        MODELS_TEXT,
        make_table(Model, nested=False),
        make_section("`architecture`", Architecture),
        make_section("`training`", Training),
        METHODS_TEXT,
        make_table_of_methods(),
        *(make_section(f"`method: {name}`", method) for name, method in SPARSIFIERS.items()),
        RUNS_TEXT,
        make_table(Run),
        PROBES_TEXT,
        make_table(Probe),
        make_section("Epochs per job", EpochsPerJob, "##"),
        make_section("Statistics", Statistics, "##"),
        "## Figures\n",
        wrap(FIGURES_TEXT.format(figures=figures)) + "\n",
        make_table(Style),
    ]
    return "\n".join(parts)


def list_names(pattern: str) -> str:
    """The names that a pattern of alternatives stands for, joined as in a sentence."""
    return join_words([f"`{name}`" for name in pattern.replace("[0-9]+", "N").split("|")])


def make_section(title: str, cls: type[Block], level: str = "###") -> str:
    """A heading, what a block is, and the table of its keys."""
    paragraphs = [take_first_paragraph(text) for text in (cls.__doc__ or "").split("\n\n") if cls.__doc__]
    text = "\n\n".join(wrap(paragraph) for paragraph in paragraphs)
    return f"{level} {title}\n\n{text}\n\n{make_table(cls)}"


def wrap(text: str) -> str:
    """A paragraph in lines of 120 characters at most."""
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def make_table(cls: type[Block], nested: bool = True) -> str:
    """The table of a block's keys; if ``nested``, with those of the blocks in it."""
    schema = cls.model_json_schema()
    head = ["| Key | Type | Default | Meaning |", "| --- | --- | --- | --- |"]
    entries = make_rows(schema, schema.get("$defs", {}))
    return "\n".join([*head, *(row for key, row in entries if nested or "." not in key)]) + "\n"


def make_rows(
    schema: Schema, definitions: Schema, prefix: str = "", form: str = "", seen: list[Any] | None = None
) -> Iterator[tuple[str, str]]:
    """Yield each key of a block and below it, with its row.

    Args:
        form: which of several forms of the block this is.
        seen: the forms that have rows already, to which those of this block are added.
    """
    seen = [] if seen is None else seen
    for key, entry in schema["properties"].items():
        inner = resolve(entry, definitions)
        default = form or ("**required**" if key in schema.get("required", []) else show_default(inner))
        meaning = add_links(inner["description"]) + describe_limits(inner.get("only", ""))
        yield f"{prefix}{key}", f"| `{prefix}{key}` | {name_type(inner, definitions)} | {default} | {meaning} |"
        if "properties" in inner:
            yield from make_rows(inner, definitions, f"{prefix}{key}.")
        new = [each for each in inner.get("oneOf", []) if each not in seen]
        seen += new
        for alternative in (resolve(each, definitions) for each in new):
            if not set(alternative["properties"]) & {"kind", "method"}:  # which have sections of their own
                keys = join_words([f"`{each}`" for each in alternative["properties"]])
                yield from make_rows(alternative, definitions, f"{prefix}{key}.", f"in the form {keys}", seen)


def show_default(schema: Schema) -> str:
    """A default as YAML has it; nothing where there is none to show."""
    if "default" not in schema:
        return ""
    value = schema["default"]
    if isinstance(value, float):
        return f"`{value:g}`"
    if isinstance(value, list):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{value}`" if isinstance(value, str) else f"`{json.dumps(value)}`"


def describe_limits(only: str) -> str:
    """Say which kinds of data use a key that not all use."""
    kinds = [f"`{name}`" for name, kind in KINDS.items() if only and kind.has(only)]
    return f" For data of kind {join_words(kinds)} only." if kinds else ""


def add_links(text: str) -> str:
    """Make links of the pages that a description names."""
    return re.sub(r"docs/(\w[\w-]*\.md)", r"[\1](\1)", take_first_paragraph(text)).replace("|", "\\|")


def name_type(schema: Schema, definitions: Schema) -> str:
    """The type of a key in a few words."""
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return join_words([f"`{name}`" for name in schema["enum"]], "or")
    if isinstance(schema.get("additionalProperties"), dict):
        return "blocks by name"
    if "oneOf" in schema or "properties" in schema:
        return "block"
    text = describe({**schema, "$defs": definitions})
    if schema.get("type") == "array":
        items = resolve(schema["items"], definitions)
        if "properties" in items:
            return "list of blocks"
        for name in items.get("enum", [items["const"]] if "const" in items else []):
            text = re.sub(rf"(?<=[ ,]){name}(?=,|$)", f"`{name}`", text)
    return re.sub(r"^(a|an|the) ", "", text)


def make_table_of_methods() -> str:
    """The table of the methods and the kinds of data that each works on, from what they declare."""
    head = ["Method", "Cells", *(f"`{name}`" for name in KINDS)]
    lines = [head, ["---"] * len(head)]
    notes = []
    for name, method in SPARSIFIERS.items():
        cells = join_words([f"`{cell}`" for cell in method.needs.cells], "or") or "all"
        lines.append([f"`{name}`", cells, *(judge(method.needs, kind) for kind in KINDS.values())])
        for (key, value), needs in method.needs_of_values.items():
            lacking = [f"`{each}`" for each, kind in KINDS.items() if find_lack(needs, kind)[0]]
            lack = next(filter(None, (find_lack(needs, kind)[0] for kind in KINDS.values())))
            notes.append(
                wrap(f"With `{key}: [{value}]`, `{name}` needs {lack}, which {join_words(lacking)} do not have.")
            )
    return "\n".join([*(f"| {' | '.join(line)} |" for line in lines), "", *notes]) + "\n"


def judge(needs: Needs, kind: type[Kind]) -> str:
    """Whether a kind of data meets the needs of a method."""
    lack, _ = find_lack(needs, kind)
    return f"no: needs {lack}" if lack else "yes"


if __name__ == "__main__":
    main()
