"""Where data come from: a download, a local file, an installed package, or the source distribution of one."""

import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, ClassVar, NamedTuple
from urllib.parse import urlsplit

from pydantic import AfterValidator, Discriminator, Field, Tag

from natural_sparsity.config.base import WORDS, Block, Printable, Refusal, show
from natural_sparsity.config.data.local import list_files
from natural_sparsity.config.packages import TOP_LEVEL, find_package
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
# Characters that are unsafe in a file name: in a shell, in Snakemake's wildcards or on some file system.
UNSAFE = re.compile(r"[^A-Za-z0-9._+-]")
LONGEST = 100


def check_url(url: str) -> str:
    """Check that an address can be taken apart."""
    try:
        host = urlsplit(url).hostname
    except ValueError:
        host = None
    if not host:
        raise Refusal("", f"{show(url)} is not the address of a file; write http:// or https://, a host and a path")
    return url


class LocalFile(NamedTuple):
    """A file of a source: its name, the path in the configuration that it is at or below, and the key of that path."""

    name: str
    path: str
    key: str


def compare(file: LocalFile, other: LocalFile) -> str:
    """Explain why two entries of a source are the same file."""
    where = f" ({other.key})" if other.key != file.key else ""
    if file.name != other.name:
        return f"{file.name} is the same file as {other.name}{where}"
    if file.path != other.path:
        return f"{file.name} is listed twice, as {file.path} and in {other.path}{where}"
    return f"{file.name} is listed twice{where and f', also in {other.key}'}"


class Source(Block):
    """A place that data come from. ``splits``: the parts that it names, each a source of its own; none for most."""

    splits: ClassVar[tuple[str, ...]] = ()

    def list_parts(self, key: str) -> dict[str, "Source"]:
        """Return its parts, or itself, by key; ``key`` is its own."""
        return {f"{key}.{split}": getattr(self, split) for split in self.splits} or {key: self}

    def list_local(self, key: str) -> list[str]:
        """Return the local files or folders; none for what is downloaded. ``key`` is the source's.

        Raises:
            UserError: the package that has the file is not installed.
        """
        return []

    def check_local(self, key: str, check: Callable[[str], None]) -> None:
        """Check each local file or folder, and that no file is read twice.

        Raises:
            UserError: as ``check`` does, after the key.
        """
        seen: dict[str, LocalFile] = {}
        for part, source in self.list_parts(key).items():
            for path in source.list_local(part):
                try:
                    check(path)
                except UserError as error:
                    raise UserError(f"{part}: {error}") from error
                for name in list_files(path):
                    file = LocalFile(name, path, part)
                    if (other := seen.setdefault(os.path.realpath(name), file)) is not file:
                        raise UserError(f"{part}: {compare(file, other)}; name each file once")

    def download(self) -> tuple[str, str]:
        """Return the name for the downloaded file, and the command that downloads it, without ``--output``."""
        raise NotImplementedError


class Download(Source):
    """A file on the web."""

    url: Annotated[Printable, AfterValidator(check_url)] = Field(
        pattern="^https?://",
        description="Address of the file.",
        json_schema_extra={WORDS: "an address that begins with http:// or https://"},
    )
    checksum: Checksum

    def download(self) -> tuple[str, str]:
        """Name the file after the last part of the address."""
        name = UNSAFE.sub("_", Path(urlsplit(self.url).path).name)[-LONGEST:].lstrip(".-")
        return name or "text", f"obtain --url {shlex.quote(self.url)} --checksum {self.checksum}"


class Files(Source):
    """Local files."""

    path: Path_ | Annotated[list[Path_], Field(min_length=1)] = Field(
        description="A file or folder, or a list of them, relative to the folder that Snakemake runs in."
    )

    def list_local(self, key: str) -> list[str]:
        """Return the paths."""
        return [str(Path(path)) for path in ([self.path] if isinstance(self.path, str) else self.path)]


class File(Source):
    """A local file."""

    path: Path_ = Field(description="The file, relative to the folder that Snakemake runs in.")

    def list_local(self, key: str) -> list[str]:
        """Return the path."""
        return [str(Path(self.path))]


def check_inside(file: str) -> str:
    """Check that a path stays below the folder that it is relative to."""
    path = PurePosixPath(file)
    if path.is_absolute() or ".." in path.parts:
        raise Refusal("", f"{show(file)} points outside the package; give a path inside it, or use source.path")
    return file


class Packaged(Source):
    """A file inside an installed Python package."""

    package: str = Field(
        pattern=TOP_LEVEL,
        description="An installed top-level Python package. It is not imported.",
        json_schema_extra={WORDS: "the name of a top-level package: letters, digits and _"},
    )
    file: Annotated[Printable, AfterValidator(check_inside)] = Field(
        description="The path of the file inside the package."
    )

    def list_local(self, key: str) -> list[str]:
        """Return the path in the package's folder."""
        folder = find_package(self.package)
        if folder is None:
            mend = f"pip install {self.package}, or use source.path"
            raise UserError(f"{key}.package: {self.package} is not installed; {mend}")
        path = folder / self.file
        if not path.resolve().is_relative_to(folder.resolve()):
            raise UserError(f"{key}.file: {self.file} is a link to outside {self.package}; use source.path")
        return [str(path)]


class Distribution(Source):
    """The source distribution of a Python package, from the index that pip uses; it is not built or installed."""

    sdist: str = Field(
        pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$",
        description="Name of the package on the index.",
        json_schema_extra={WORDS: "the name of a package: letters, digits, ., - and _"},
    )
    version: str = Field(
        pattern="^[0-9][A-Za-z0-9.]{0,99}$",
        description="Its version; put it in quotes if it looks like a number.",
        json_schema_extra={WORDS: "a version, such as 3.3.2"},
    )
    checksum: Checksum

    def download(self) -> tuple[str, str]:
        """Name the archive after the package."""
        return f"{self.sdist}.tar.gz", f"sdist --package {self.sdist}=={self.version} --checksum {self.checksum}"


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


WholeText = Annotated[
    Annotated[Download, Tag("url")] | Annotated[Files, Tag("path")] | Annotated[Packaged, Tag("package")],
    tell_forms_apart(Download, Files, Packaged),
]


class Splits(Source):
    """A text whose splits are given, each in one of the other three forms."""

    splits = ("train", "dev", "test")

    train: WholeText = Field(description="What models train on.")
    dev: WholeText = Field(description="What decides the learning rate.")
    test: WholeText = Field(description="What is held out until a model is evaluated.")


TextSource = Annotated[
    Annotated[Download, Tag("url")]
    | Annotated[Files, Tag("path")]
    | Annotated[Packaged, Tag("package")]
    | Annotated[Splits, Tag("train")],
    tell_forms_apart(Download, Files, Packaged, Splits),
]
LabelledSource = Annotated[
    Annotated[Download, Tag("url")] | Annotated[File, Tag("path")] | Annotated[Distribution, Tag("sdist")],
    tell_forms_apart(Download, File, Distribution),
]
