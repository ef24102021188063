"""Read configuration files as written: find keys that are set twice, and the line of each key.

Snakemake's merge loses both: it keeps the last of two equal keys, and no lines.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from natural_sparsity.errors import UserError

MERGE = "tag:yaml.org,2002:merge"
# With this key, Snakemake treats a file as a template and runs the Python in it before our checks.
TEMPLATE = "__use_yte__"
LONGEST = 400  # digits of a number; a float has 309 at most before the point
LARGEST = 10**6  # values in a file, aliases expanded
# What YAML 1.1 reads as another number than a person does: 010 is 8, and 1:30 is 90.
SURPRISE = re.compile(r"[-+]?(0[0-7_]+|\d[\d_]*(:[0-5]?\d)+(\.\d*)?)")
# The keys that a message begins with, and the first text in it that is in quotes.
MESSAGE = re.compile(r"(?:(?P<keys>[\w.-]+): )?(?:.*?'(?P<quoted>[^']*)')?")


class Place(NamedTuple):
    """A value in a file and the line of its key; ``file`` is empty for what ``--config`` sets."""

    file: str
    line: int
    node: yaml.Node | None

    def find(self, key: str) -> "Place | None":
        """Find what is at a key, or at an index of a list."""
        if isinstance(self.node, yaml.MappingNode):
            # What << merges in comes first, and the block's own keys override it.
            for name, value in reversed(self.node.value):
                if name.value == key:
                    return Place(self.file, name.start_mark.line + 1, value)
        if isinstance(self.node, yaml.SequenceNode) and key.isdecimal() and int(key) < len(self.node.value):
            value = self.node.value[int(key)]
            return Place(self.file, value.start_mark.line + 1, value)
        return None


class Places:
    """Where the keys of a merged configuration stand.

    Args:
        files: the files from the lowest to the topmost, as (name, path).
        overrides: what ``--config`` sets on top of them.

    Raises:
        UserError: as :func:`read_file`.
    """

    def __init__(self, files: Mapping[str, Path], overrides: Mapping[str, Any]):
        self.roots = [Place(name, 1, read_file(name, path)[0]) for name, path in files.items()]
        self.roots.append(Place("", 1, yaml.compose(json.dumps(dict(overrides), default=str), yaml.SafeLoader)))

    def explain(self, message: str) -> str:
        """Prefix a message that begins with keys with their file and line, or with ``configuration`` if in no file.

        A missing key gets the line of the block that lacks it. If the message quotes a key of that block, it gets that
        key's line.
        """
        match = MESSAGE.match(message)
        assert match
        path = (match["keys"] or "").split(".")
        places, depth = self.roots, 0
        while depth < len(path) and (below := descend(places, path[depth])):
            places, depth = below, depth + 1
        places = descend(places, match["quoted"] or "") or places
        found = places[-1]
        inside = places is not self.roots and found.file
        return f"{found.file}, line {found.line}: {message}" if inside else f"configuration: {message}"


def descend(places: Sequence[Place], key: str) -> list[Place]:
    """Find the values of a key in merged blocks, lowest first; a value that is not a block hides those below it."""
    merged: list[Place] = []
    for place in places:
        if below := place.find(key):
            is_block = isinstance(below.node, yaml.MappingNode)
            merged = [*(each for each in merged if is_block and isinstance(each.node, yaml.MappingNode)), below]
    return merged


def read_file(name: str, path: Path) -> tuple[yaml.Node | None, Any]:
    """Read a configuration file in YAML or JSON; return its nodes, with what << merges in, and its values.

    Raises:
        UserError: it cannot be read, is neither, has a key twice in a block, or a number that YAML takes for another;
            the message begins with ``name``.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"{name}: cannot be read ({error.strerror}); check the path") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{name}: byte {error.start} is not UTF-8; save the file as UTF-8") from error
    is_json, values = read_json(text)
    if is_json:
        # JSON is YAML, except for tabs, which JSON strings do not contain.
        text = text.replace("\t", " ")
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        for node in list_nodes(root):
            check_node(name, node)
        check_size(name, root)
        # This also puts what << merges in into the nodes.
        return root, values if is_json or root is None else loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        raise UserError(explain_syntax(name, error)) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise UserError(f"{name}, line {line}: a control character, U+{int(error.character):04X}; delete it") from error
    except RecursionError as error:
        raise UserError(f"{name}: is nested hundreds of levels deep; flatten it") from error
    except ValueError as error:
        raise UserError(f"{name}: YAML reads a value as a date, but {error}; put the value in quotes") from error


def read_json(text: str) -> tuple[bool, Any]:
    """Tell whether a text is JSON; return its values, whose numbers may have exponents that are text in YAML."""
    try:
        return True, json.loads(text)
    except (ValueError, RecursionError):
        return False, None


def list_nodes(root: yaml.Node | None) -> Iterator[yaml.Node]:
    """Yield a node and all nodes below it, each once, however many aliases point to it."""
    nodes, seen = [root] if root else [], set[int]()
    while nodes:
        node = nodes.pop(0)
        if id(node) not in seen:
            seen.add(id(node))
            yield node
            below = [each for pair in node.value for each in pair] if isinstance(node, yaml.MappingNode) else node.value
            nodes = [*below, *nodes] if isinstance(node, yaml.CollectionNode) else nodes


def check_size(name: str, root: yaml.Node | None) -> None:
    """Refuse a file whose aliases expand to too many values: ten lines can expand to a billion."""
    sizes: dict[int, float] = {}

    def measure(node: yaml.Node) -> float:
        if id(node) not in sizes:
            sizes[id(node)] = math.inf  # until known: an alias to an enclosing block never ends
            pairs = node.value if isinstance(node, yaml.MappingNode) else []
            below = [each for pair in pairs for each in pair] if pairs else node.value
            sizes[id(node)] = 1 + (sum(map(measure, below)) if isinstance(node, yaml.CollectionNode) else 0)
        return sizes[id(node)]

    if root is not None and measure(root) > LARGEST:
        raise UserError(f"{name}: its aliases (*) expand to more than {LARGEST:,} values; use fewer")


def check_node(name: str, node: yaml.Node) -> None:
    """Refuse a block that has a key twice, and a number that YAML takes for another."""
    line = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        check_keys(name, node)
    elif not isinstance(node, yaml.ScalarNode) or not node.tag.endswith((":int", ":float")):
        return
    elif len(node.value) > LONGEST:
        raise UserError(f"{name}, line {line}: a number of {len(node.value):,} digits; use at most {LONGEST}")
    elif SURPRISE.fullmatch(node.value):
        number = yaml.safe_load(node.value)
        raise UserError(f"{name}, line {line}: YAML reads {node.value} as {number}; write the number that you mean")


def check_keys(name: str, block: yaml.MappingNode) -> None:
    """Refuse a block that has a key twice, or the key that makes the file a template."""
    lines: dict[tuple[str, str], int] = {}
    for key, value in block.value:
        # << may stand twice: each merges in its own.
        if not isinstance(key, yaml.ScalarNode) or key.tag == MERGE:
            continue
        line = key.start_mark.line + 1
        if key.value == TEMPLATE:
            raise UserError(f"{name}, line {line}: {TEMPLATE} makes Snakemake run code in the file; delete it")
        if (key.tag, key.value) in lines:
            first = lines[key.tag, key.value]
            where = f"twice, first on line {first}" if first != line else "twice on this line"
            fix = "merge the two" if isinstance(value, yaml.CollectionNode) else "remove one"
            raise UserError(f"{name}, line {line}: {key.value!r} is set {where}; {fix}")
        lines[key.tag, key.value] = line


def explain_syntax(name: str, error: yaml.MarkedYAMLError) -> str:
    """Say in one line where a file is no YAML, why, and what to look at."""
    mark = error.problem_mark or error.context_mark
    place = f"{name}, line {mark.line + 1}" if mark else name
    problem = error.problem or ""
    if "'\\t'" in problem:
        return f"{place}: a tab where YAML needs spaces; indent with spaces"
    if "tag" in problem:
        return f"{place}: {problem}; write plain values, without !"
    if "not allowed here" in problem:
        return f"{place}: a colon where no key is allowed; check the indentation, or put the value in quotes"
    start = error.context_mark.line + 1 if error.context_mark else 0
    context = f"{error.context} (from line {start}), " if error.context else ""
    reason = " ".join(f"{context}{problem}".split())
    return f"{place}: {reason}; check indentation, quotes and brackets up to here"
