"""Which errors mean that memory ran out: torch's own types, and the words of other libraries."""

import re

import torch

_OUT_OF_MEMORY = re.compile(
    r"out of memory"
    r"|can't allocate memory"  # torch's CPU allocator on Linux
    r"|not enough memory"  # torch's CPU allocator on Windows
    r"|bad_?alloc"
    r"|could not create a memory"  # oneDNN's memory object
    r"|(CUDNN|CUBLAS|CUSOLVER)_STATUS_(INTERNAL_ERROR_HOST_)?ALLOC(ATION)?_FAILED"
    r"|Unable to find a valid cuDNN algorithm"
    r"|unable to find an engine"
    r"|Cannot allocate memory"
    r"|Failed to allocate private MTLBuffer|Invalid buffer size",  # Metal
    re.IGNORECASE,
)

_AMBIGUOUS = re.compile(
    r"could not (create|execute) a primitive|(process ended with|was killed by) SIG(?!KILL)"
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error can only mean that memory ran out.

    By its type, or for other runtime errors by the messages of allocators and libraries.
    """
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and bool(_OUT_OF_MEMORY.search(str(error)))


def is_ambiguous(message: str) -> bool:
    """Whether a message may mean that memory ran out, or something else.

    oneDNN's "could not create a primitive" may also mean that it has no such kernel; a crash may be
    an unchecked allocation or a bug.
    """
    return bool(_AMBIGUOUS.search(message))
