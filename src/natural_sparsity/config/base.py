"""What every block of the configuration has in common, and the line that explains what is wrong with one.

A block is a pydantic model. It alone holds the type, the unit, the bounds, the default and the description of each of
its keys. Types are strict: 2.0 is no integer, true is no number, and NaN and infinity are refused.
"""

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from natural_sparsity.errors import UserError

B = TypeVar("B", bound="Block")
T = TypeVar("T")
Schema = dict[str, Any]

# The JSON Schema keyword for an editor's explanation of a pattern; our error messages use it too.
WORDS = "patternErrorMessage"
# Names of blocks become names of files and folders, which file systems limit to 255 bytes.
NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$"
# Numbers that arrive as text: YAML 1.1 reads 1e-3 so, and --config everything in braces.
EXPONENT = re.compile(r"([-+]?(?:\d++(?:\.\d*+)?|\.\d++))e([-+]?\d+)", re.IGNORECASE)
AS_TEXT = " (it is text: write it without quotes; inside braces --config gives only text, so put it in a file)"


# Numbers that several blocks share. Their bounds refuse, before any job starts, what cannot be computed: random
# generators take 32-bit seeds; Snakemake cannot plan a graph of more epochs; float32 ends at 3e38; counts are 64-bit.
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Epochs = Annotated[int, Field(ge=1, le=10_000)]
Occurrences = Annotated[int, Field(ge=1, le=10**9)]
Parallel = Annotated[int, Field(ge=1, le=100_000)]
Rate = Annotated[float, Field(gt=0, le=1e30)]
Factor = Annotated[float, Field(ge=0, le=1e30)]


class Refusal(ValueError):
    """What is wrong with the value at ``key`` below a block (empty: with the block itself), and the fix."""

    def __init__(self, key: str, message: str):
        super().__init__(f"{key}: {message}" if key else message)
        self.key, self.message = key, message


class Block(BaseModel):
    """A block of the configuration."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)
    # Keys of former versions, and what they are called now.
    renamed: ClassVar[Mapping[str, str]] = {}

    def list_moot_keys(self) -> dict[str, str]:
        """Return the keys that other keys make meaningless, and why.

        They are refused if the user set them, and left out when the block is dumped.
        """
        return {}

    @model_validator(mode="before")
    @classmethod
    def refuse_unknown_keys(cls, value: Any) -> Any:
        """Refuse the first key that the block does not have."""
        if isinstance(value, dict):
            for key in value:
                if key in cls.renamed:
                    raise explain_renamed(key, cls.renamed)
                if key not in cls.model_fields:
                    raise Refusal("", f"unknown key {key!r}; {suggest(key, list(cls.model_fields))}")
        return value

    @model_validator(mode="after")
    def refuse_moot_keys(self) -> Self:
        """Refuse the first moot key that the user set."""
        for key, reason in self.list_moot_keys().items():
            if key in self.model_fields_set:
                raise Refusal(key, f"{reason}; leave it out")
        return self

    @model_serializer(mode="wrap")
    def leave_out_moot_keys(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Dump the block without its moot keys, so that the dump can be read again."""
        moot = self.list_moot_keys()
        return {key: value for key, value in handler(self).items() if key not in moot}


def read_block(cls: type[B], mapping: Mapping[str, Any], name: str) -> B:
    """Read a block from a mapping, as JSON or YAML gives it.

    ``name`` is the user's key of the block; messages begin with it. It is empty for the whole configuration.

    Raises:
        UserError: one line with the key, what is wrong with it, and the fix.
    """
    try:
        return cls.model_validate(mapping)
    except ValidationError as error:
        raise UserError(explain(cls, error, name)) from error


def check_unique(values: list[T]) -> list[T]:
    """Check that a list has nothing twice."""
    seen: set[T] = set()
    for value in values:
        if value in seen:
            raise Refusal("", f"{show(value)} is listed twice; list it once")
        seen.add(value)
    return values


def check_printable(text: str) -> str:
    """Check that a text can go into a command or message unchanged."""
    if not text.isprintable():
        raise Refusal("", f"{show(text)} has unprintable characters; delete them")
    return text


# A text that names a file, a column, an address or a model.
Printable = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(check_printable)]


# A list whose entries differ: Annotated[list[int], UNIQUE, UNIQUE_ITEMS].
UNIQUE = AfterValidator(check_unique)
UNIQUE_ITEMS = Field(json_schema_extra={"uniqueItems": True})


def one_of(names: Sequence[str], renamed: Mapping[str, str] | None = None) -> Any:
    """The type of a text that is one of ``names``, where these are not known before the program runs.

    ``renamed``: names of former versions, and what they are now.
    """

    def check(value: str) -> str:
        if value in (renamed or {}):
            raise explain_renamed(value, renamed or {})
        if value not in names:
            raise Refusal("", f"{show(value)} is not one of {', '.join(names)}")
        return value

    return Annotated[str, AfterValidator(check), Field(json_schema_extra={"enum": list(names)})]


def make_name(reserved: str) -> Any:
    """The type of a block's name, which may not be what the pattern ``reserved`` matches."""

    def check(name: str) -> str:
        if not re.fullmatch(NAME, name):
            raise Refusal(
                "",
                f"{name!r} cannot name a block; use up to 100 letters, digits, - and _; begin with a letter or digit",
            )
        if re.fullmatch(reserved, name):
            raise Refusal("", f"{name!r} cannot name a block, since results have files of that name; choose another")
        return name

    return Annotated[str, AfterValidator(check)]


def explain_renamed(key: str, renamed: Mapping[str, str]) -> Refusal:
    """The refusal of a key that was renamed."""
    return Refusal(key, f"renamed to {renamed[key]} in version 0.2; see CHANGELOG.md")


def suggest(key: Any, known: Sequence[str]) -> str:
    """Say which of the known keys was meant, or list them."""
    close = difflib.get_close_matches(str(key), known, 1)
    return f"did you mean {close[0]!r}?" if close else f"the keys here are {', '.join(known)}"


def explain(cls: type[Block], error: ValidationError, name: str) -> str:
    """Put the first error into one line: the key below ``name``, what is wrong, and the fix."""
    first: Any = error.errors(include_url=False)[0]
    keys, schema = locate(cls.model_json_schema(), [part for part in first["loc"] if part != "[key]"])
    if "[key]" in first["loc"]:
        keys = keys[:-1]
    refusal = first.get("ctx", {}).get("error")
    if isinstance(refusal, Refusal):
        keys, message = [*keys, refusal.key], refusal.message
    elif "[key]" in first["loc"]:
        message = f"{show(first['input'])} cannot name a block; names are texts"
    elif first["type"] == "missing":
        message = "missing; it has no default"
    elif first["type"].startswith("union_tag"):
        key, message = explain_choice(first["input"], schema, keys[-1])
        keys = [*keys, key]
    else:
        message = (
            f"{show(first['input'])} is not {add_article(describe(schema))}{give_hint(first['input'], schema, keys)}"
        )
    return ": ".join(filter(None, [".".join(filter(None, [name, *keys])), message]))


def locate(schema: Schema, location: Sequence[str | int]) -> tuple[list[str], Schema]:
    """Follow pydantic's location of an error: the user's keys, and the schema of what is there.

    Pydantic's location also names the alternative of a union, which is not one of the user's keys.
    """
    definitions, keys = schema.get("$defs", {}), []
    schema = resolve(schema, definitions)
    for part in location:
        inner: Schema | None = None
        if "oneOf" in schema:
            schema = choose(schema["oneOf"], str(part), definitions)
            continue
        if "items" in schema and isinstance(part, int):
            inner = schema["items"]
        elif part in schema.get("properties", {}):
            inner = schema["properties"][part]
        elif isinstance(schema.get("additionalProperties"), dict):
            inner = schema["additionalProperties"]
        if inner is None:
            break
        keys.append(str(part))
        schema = resolve(inner, definitions)
    return keys, {**schema, "$defs": definitions}


def resolve(schema: Schema, definitions: Schema) -> Schema:
    """Replace ``$ref`` by what it names, and "this or null" by this, marked nullable for its description."""
    if "$ref" in schema:
        schema = {**definitions[schema["$ref"].removeprefix("#/$defs/")], **schema}
        del schema["$ref"]
    options = [option for option in schema.get("anyOf", []) if option.get("type") != "null"]
    if len(options) == 1 and len(schema["anyOf"]) == 2:
        rest = {key: value for key, value in schema.items() if key != "anyOf"}
        return {**resolve(options[0], definitions), **rest, "nullable": True}
    return schema


def choose(alternatives: Sequence[Schema], tag: str, definitions: Schema) -> Schema:
    """The alternative whose kind or method is ``tag``, or that has a key ``tag``."""
    for alternative in alternatives:
        schema = resolve(alternative, definitions)
        properties = schema.get("properties", {})
        if tag in properties or any(entry.get("const") == tag for entry in properties.values()):
            return schema
    raise KeyError(tag)


def explain_choice(value: Any, schema: Schema, name: str) -> tuple[str, str]:
    """Return the key that decides between the alternatives, if there is one, and say what they are.

    ``name``: the key of the block.
    """
    alternatives = [resolve(alternative, schema["$defs"]) for alternative in schema["oneOf"]]
    if not isinstance(value, dict):
        has_path = (
            isinstance(value, str)
            and can_be_repeated(value)
            and any("path" in entry["properties"] for entry in alternatives)
        )
        hint = f"; write {name}: {{{give_place(value)}}}" if has_path else ""
        return "", f"{show(value)} is not a block of keys{hint}"
    for key in ("kind", "method"):
        deciding = [entry["properties"].get(key, {}) for entry in alternatives]
        names = [entry["const"] for entry in deciding if "const" in entry]
        if names:
            wrong = f"{show(value[key])} is no {key}" if key in value else "missing"
            close = difflib.get_close_matches(str(value.get(key)), names, 1)
            meant = f"did you mean {close[0]!r}? " if close else ""
            return key, f"{wrong}; {meant}the {key}s are {', '.join(names)}"
    forms = ", or ".join(join_words(list(entry["properties"])) for entry in alternatives)
    return "", f"give {forms}; here are {', '.join(map(str, value)) or 'none'} (files on top are merged in)"


def give_place(text: str) -> str:
    """Write a path or an address, as a user gave it, in the form that a source has."""
    if text.startswith(("http://", "https://")):
        return f"url: {json.dumps(text)}, checksum: …"
    plain = re.fullmatch(r"[\w./][\w./-]*", text)
    return f"path: {text if plain else json.dumps(text, ensure_ascii=False)}"


def join_words(items: Sequence[str], last: str = "and") -> str:
    """Join as a sentence does: a, b and c."""
    return f" {last} ".join(filter(None, [", ".join(items[:-1]), *items[-1:]]))


def describe(schema: Schema) -> str:
    """Say in words, without an article, what a schema takes."""
    definitions = schema.get("$defs", {})
    schema = resolve(schema, definitions)
    if "anyOf" in schema:
        return " or ".join(add_article(describe({**option, "$defs": definitions})) for option in schema["anyOf"])
    return describe_type(schema, definitions) + (", or null" if schema.get("nullable") else "")


def describe_type(schema: Schema, definitions: Schema) -> str:
    """Say what a schema of one type takes."""
    if "const" in schema:
        return str(schema["const"])
    if "enum" in schema:
        return f"one of {', '.join(schema['enum'])}"
    if WORDS in schema:
        return str(schema[WORDS])
    kind = schema.get("type", "object")
    if kind in ("integer", "number"):
        return f"{kind} {describe_bounds(schema)}".strip()
    if "maxLength" in schema:
        return f"text of {schema.get('minLength', 0)} to {schema['maxLength']} characters"
    if kind == "array":
        return describe_list(schema, definitions)
    if kind == "boolean":
        return "true, false" if schema.get("nullable") else "true or false"  # which ", or null" follows
    if schema.get("minProperties"):
        return "block with at least one entry"
    return {"string": "text", "object": "block of keys"}[kind]


def describe_list(schema: Schema, definitions: Schema) -> str:
    """Say what a list takes: "list of at least one integer of 0 or more, each once"."""
    few, once = schema.get("minItems", 0), ", each once" if schema.get("uniqueItems") else ""
    entry = describe({**schema["items"], "$defs": definitions})
    if entry.startswith("one of "):
        return f"list with {'at least one' if few else 'any'} of {entry.removeprefix('one of ')}{once}"
    if few != 1:
        entry = re.sub(r"^(integer|number|text)", r"\1s", entry)
    number = {0: "", 1: "at least one "}.get(few, f"at least {few} ")
    return f"list of {number}{entry}{once}"


def describe_bounds(schema: Schema) -> str:
    """Say the bounds of a number: "from 0 to below 1", "of 1 or more", "above 0"."""
    low, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    high, below = schema.get("maximum"), schema.get("exclusiveMaximum")
    number = "{:g}".format if schema["type"] == "number" else str
    upper = f"to {number(high)}" if high is not None else f"to below {number(below)}" if below is not None else ""
    if low is not None:
        return f"from {number(low)} {upper}" if upper else f"of {number(low)} or more"
    if above is not None:
        upper = upper.replace("to below", "and below").replace("to ", "up to ") if upper else ""
        return f"above {number(above)} {upper}".strip()
    return upper.removeprefix("to ")


def add_article(phrase: str) -> str:
    """Put "a" or "an" before a noun."""
    if re.match(r"(integer|number|list|block|text)\b", phrase):
        return f"an {phrase}" if phrase.startswith("i") else f"a {phrase}"
    return phrase


def give_hint(value: Any, schema: Schema, keys: Sequence[str]) -> str:
    """Say how a list of one entry is written, and a number, true, false or null so that it does not arrive as text."""
    if schema.get("type") == "array" and isinstance(value, dict):
        return "; begin each entry with a dash"
    if schema.get("type") == "array" and isinstance(value, int | float | str) and not isinstance(value, bool):
        text = str(value) if can_be_repeated(value) else ""
        if text.startswith(("[", "{")):
            return AS_TEXT
        is_block = resolve(schema["items"], schema.get("$defs", {})).get("type") == "object"
        return f"; write {keys[-1]}: [{text}]" if text and not is_block else ""
    if schema.get("type") == "integer" and is_whole(value):
        return f" ({'YAML reads it as text: ' if isinstance(value, str) else ''}write {float(value):.0f})"
    if not isinstance(value, str) or "string" in str(schema.get("type")) or "enum" in schema:
        return ""
    exponent = EXPONENT.fullmatch(value)
    if exponent and schema.get("type") == "number":
        mantissa, power = exponent.groups()
        number = f"{mantissa if '.' in mantissa else mantissa + '.0'}e{power if power[0] in '+-' else '+' + power}"
        return f" (YAML reads it as text: write {number})"
    return AS_TEXT if re.fullmatch(r"[-+]?[\d._]+|true|false|null|~|\[.*|\{.*", value) else ""


def can_be_repeated(value: float | str) -> bool:
    """Tell whether a number or text is short and printable enough for a hint."""
    return len(value) <= 200 and value.isprintable() if isinstance(value, str) else abs(value) < 1e15


def is_whole(value: Any) -> bool:
    """Tell whether a value is an integer that is written as another number, such as 1e2 or 100.0."""
    is_number = isinstance(value, float) or (isinstance(value, str) and EXPONENT.fullmatch(value))
    return bool(is_number) and abs(float(value)) < 1e15 and float(value).is_integer()


def show(value: Any) -> str:
    """Show a value as the user wrote it, shortened to fit a line."""
    plain = isinstance(value, bool) or value is None
    try:
        text = json.dumps(value) if plain else " ".join(repr(value).split())
    except ValueError:  # which Python raises for an integer of more than 4,300 digits
        text = "a number of thousands of digits"
    return text if len(text) <= 80 else f"{text[:77]}..."
