"""Where data come from: a download, a local file, an installed package, or the source distribution of one."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag

from natural_sparsity.config.base import WORDS, Block
from natural_sparsity.errors import UserError

Checksum = Annotated[
    str,
    Field(
        pattern=r"^(sha256:[0-9a-fA-F]{64}|sha1:[0-9a-fA-F]{40}|md5:[0-9a-fA-F]{32})$",
        description="Digest of the file, `ALGORITHM:HEXADECIMAL`, where the algorithm is sha256, sha1 or md5.",
        json_schema_extra={WORDS: "sha256:, sha1: or md5: and the hexadecimal digest"},
    ),
]
Path_ = Annotated[str, Field(min_length=1)]


class Download(Block):
    """A file on the web."""

    url: str = Field(
        pattern="^https?://",
        description="Address of the file.",
        json_schema_extra={WORDS: "an address that begins with http:// or https://"},
    )
    checksum: Checksum


class Files(Block):
    """Local files."""

    path: Path_ | Annotated[list[Path_], Field(min_length=1)] = Field(
        description="A file or folder, or a list of them, relative to the folder that Snakemake runs in."
    )


class File(Block):
    """A local file."""

    path: Path_ = Field(description="The file, relative to the folder that Snakemake runs in.")


class Packaged(Block):
    """A file inside an installed Python package."""

    package: str = Field(description="The installed Python package.")
    file: str = Field(description="The path of the file inside the package.")


class Distribution(Block):
    """The source distribution of a Python package, which pip fetches."""

    sdist: str = Field(
        pattern="^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="Name of the package on the package index.",
        json_schema_extra={WORDS: "the name of a package: letters, digits, ., - and _"},
    )
    version: str = Field(
        pattern="^[0-9][A-Za-z0-9.]*$",
        description="Its version, in quotes where it could be read as a number.",
        json_schema_extra={WORDS: "a version, such as 3.3.2"},
    )
    checksum: Checksum


def tell_forms_apart(*forms: type[Block]) -> Any:
    """Tell the forms of a source apart by the keys that they require."""

    def tag(value: Any) -> str | None:
        if isinstance(value, Block):
            return next(iter(type(value).model_fields))
        for form in forms:
            if isinstance(value, dict) and set(form.model_fields) == set(value):
                return next(iter(form.model_fields))
        return None

    return Discriminator(tag)


TextSource = Annotated[
    Annotated[Download, Tag("url")] | Annotated[Files, Tag("path")] | Annotated[Packaged, Tag("package")],
    tell_forms_apart(Download, Files, Packaged),
]
LabelledSource = Annotated[
    Annotated[Download, Tag("url")] | Annotated[File, Tag("path")] | Annotated[Distribution, Tag("sdist")],
    tell_forms_apart(Download, File, Distribution),
]


def local_paths(source: Block, key: str) -> list[Path]:
    """The local files or folders of a source; none for one that is downloaded. ``key`` is the source's.

    Raises:
        UserError: the package that has the file is not installed.
    """
    if isinstance(source, Packaged):
        try:
            package = find_spec(source.package)
        except (ImportError, ValueError):
            package = None
        if package is None or not package.submodule_search_locations:
            raise UserError(f"{key}.package: {source.package} is not installed; pip install {source.package}")
        return [Path(package.submodule_search_locations[0], source.file)]
    if isinstance(source, File | Files):
        return [Path(path) for path in ([source.path] if isinstance(source.path, str) else source.path)]
    return []
