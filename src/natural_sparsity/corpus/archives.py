"""Read members of a tar archive, compressed or not, as one stream, to its very end.

The checksum of the compression is verified with the last byte. Of an archive that is not compressed only the headers
have checksums, so a byte that has changed within a member cannot be noticed.
"""

import re
import tarfile
from collections.abc import Iterator
from typing import Self

from natural_sparsity.corpus.streams import BYTES_PER_READ, Stream
from natural_sparsity.errors import UserError

MAX_MEMBER = 1 << 26
MAX_LONG_NAME = 1 << 20
LONG_NAMES = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


class _Header(tarfile.TarInfo):
    """A header that is refused if it is damaged or cut; ``tarfile`` takes such a header for the archive's end."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        if len(buf) == tarfile.BLOCKSIZE and not any(buf):  # the archive's end
            return super().frombuf(buf, encoding, errors)
        try:
            header = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error) if buf else "it has no end") from error
        if header.type in LONG_NAMES and header.size > MAX_LONG_NAME:
            raise tarfile.ReadError(f"a name of {header.size} bytes")
        return header


def read_members(stream: Stream, wanted: re.Pattern[str]) -> list[tuple[str, bytes]]:
    """Read (name, content) of the members whose whole name matches ``wanted``, in the archive's order.

    Raises:
        UserError: the file is no tar archive, is damaged or cut anywhere, or goes on after its end; a wanted member is
            there twice, is no file or has more than 64 MiB.
    """
    try:
        members = list(_walk(stream, wanted))
    except (tarfile.TarError, ValueError, OverflowError, UserError) as error:
        _read_rest(stream)  # Where the compression is damaged, too, that is the cause, and is named.
        if isinstance(error, UserError):
            raise
        raise UserError(f"{stream.path}: not a readable tar archive ({error}); delete it and run again") from error
    if _read_rest(stream):
        raise UserError(f"{stream.path}: has data after the end of the archive; delete it and run again")
    return members


def _walk(stream: Stream, wanted: re.Pattern[str]) -> Iterator[tuple[str, bytes]]:
    names: set[str] = set()
    # In single blocks, so that nothing after the archive's end is read with it.
    with tarfile.open(fileobj=stream, mode="r|", bufsize=tarfile.BLOCKSIZE, tarinfo=_Header) as archive:
        for member in archive:
            if wanted.fullmatch(member.name):
                _check_member(stream, member, names)
                file = archive.extractfile(member)
                assert file is not None
                yield member.name, file.read()


def _read_rest(stream: Stream) -> bool:
    """Read to the end, where the compression's checksum is; tell whether there is more than the padding, NUL bytes."""
    more = False
    while block := stream.read(BYTES_PER_READ):
        more = more or bool(block.strip(b"\0"))
    return more


def _check_member(stream: Stream, member: tarfile.TarInfo, names: set[str]) -> None:
    if member.name in names:
        raise UserError(f"{stream.path}: has two members {member.name}; delete one")
    names.add(member.name)
    if not member.isreg():
        raise UserError(f"{stream.path}: its member {member.name} is not a regular file; pack the texts themselves")
    if member.size > MAX_MEMBER:
        raise UserError(f"{stream.path}: its member {member.name} has more than {MAX_MEMBER >> 20} MiB; split it")


def read_member(stream: Stream, name: str) -> bytes:
    """Read the only member whose name ends in ``name``."""
    members = read_members(stream, re.compile(f".*{re.escape(name)}"))
    if len(members) != 1:
        raise UserError(
            f"{stream.path}: has {len(members)} members named {name}, not one; check that format is right for this file"
        )
    return members[0][1]
