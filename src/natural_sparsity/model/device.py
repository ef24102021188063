"""Set the device, the number of threads, the precision and the seeds of a computation."""

import contextlib
import ctypes
import hashlib
import os
import re
from collections.abc import Iterator
from importlib.util import find_spec
from threading import Lock

import torch

from natural_sparsity.errors import UserError

# Options of glibc's mallopt, and our values in bytes. It gives back freed memory beyond KEPT. It maps each block of
# MAPPED or more anew; 32 MiB is the most that it allows.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
KEPT, MAPPED = 2**30, 2**25

ONE_THREAD = Lock()


def select_device(name: str, threads: int) -> torch.device:
    """Return the device ``name``: ``auto`` (CUDA if available), ``cpu``, ``cuda`` or ``cuda:1``; set up the CPU.

    The process gets ``threads`` threads, and keeps the memory that it frees.

    Raises:
        UserError: CUDA was asked for and is not available, or the device is unknown.
    """
    if threads < 1:
        raise UserError(f"threads: {threads} is not positive; give at least 1")
    torch.set_num_threads(threads)
    keep_freed_memory()
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(
            f"device: {name} was asked for, but torch {torch.__version__} sees no CUDA device; use auto or cpu"
        )
    if not re.fullmatch(r"cpu|cuda(:(0|[1-9]\d?))?", name):
        raise UserError(f"device: {name!r} is unknown; use auto, cpu, cuda or cuda:1")
    device = torch.device("cuda:0" if name == "cuda" else name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"device: {name} was asked for, but the last one is cuda:{torch.cuda.device_count() - 1}")
    if device.type == "cuda":
        prepare_cuda(device)
    return device


@contextlib.contextmanager
def one_thread() -> Iterator[int]:
    """Let each operation use one thread inside the block, so that bits do not depend on the number of threads.

    Yield the number before, which is restored. Blocks of several Python threads take turns.
    """
    with ONE_THREAD:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield threads
        finally:
            torch.set_num_threads(threads)


def keep_freed_memory() -> None:
    """Make the C library keep the memory that tensors free. It is glibc's; with others, nothing happens.

    By default, it soon gives that memory back to the system and gets it again page by page, filled with zeros. With a
    small model, this takes up to a third of a step.
    """
    with contextlib.suppress(AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, MAPPED)
        libc.mallopt(M_TRIM_THRESHOLD, KEPT)


def prepare_cuda(device: torch.device) -> None:
    """Make ``device`` the current one, and make it compute the same bits in every run.

    Call it before anything is computed there: by default, CUDA adds in the order in which threads arrive. An operation
    without a deterministic version warns.

    Raises:
        UserError: Triton, in which the kernels are written, is not installed.
    """
    if find_spec("triton") is None:
        raise UserError(
            f"device: {device} needs Triton, which comes with torch's builds for CUDA; install it, or use cpu"
        )
    torch.cuda.set_device(device)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Nothing here reads uninitialised memory, so do not spend time on filling it.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def set_precision(name: str) -> None:
    """Set the precision of matrix products to torch's ``highest``, ``high`` or ``medium``, cuDNN's layers included.

    By default, torch lets cuDNN round to TF32 whatever the precision of other products.
    """
    torch.set_float32_matmul_precision(name)
    torch.backends.cudnn.allow_tf32 = name != "highest"


def seed_everything(*keys: int | str) -> None:
    """Seed torch's generators from ``keys`` alone, so that an epoch's random numbers do not depend on earlier work."""
    torch.manual_seed(seed_of(*keys))


def generator_of(*keys: int | str) -> torch.Generator:
    """Return a CPU generator seeded from ``keys`` alone; leave torch's own generators as they are."""
    return torch.Generator().manual_seed(seed_of(*keys))


def seed_of(*keys: int | str) -> int:
    """Hash ``keys`` to a seed of 64 bits."""
    return int.from_bytes(hashlib.blake2b("/".join(map(str, keys)).encode(), digest_size=8).digest(), "big")
