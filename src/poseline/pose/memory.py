"""The C library's heap: blocks of a frame's size are kept for the next frame."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # of malloc.h
_OPTIONS = {_MMAP_THRESHOLD: 32 << 20, _TRIM_THRESHOLD: 256 << 20, _TOP_PAD: 4 << 20}


def keep_freed_blocks() -> bool:
    """Tell malloc to keep freed blocks of up to 32 MB instead of giving them back to the system; whether it takes that.

    A frame, its crops and the networks' inputs are megabytes that live for milliseconds. Given back, each of them costs the system a page
    fault and a cleared page for every 4 KB when the next frame comes: a sixth of all CPU time with small networks. What a run needs at
    most stays the same. Only glibc has this; elsewhere nothing happens.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    taken = [set_option(option, value) == 1 for option, value in _OPTIONS.items()]
    return all(taken)
