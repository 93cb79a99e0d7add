"""Ways in which what is written can be broken off."""

import resource
from contextlib import contextmanager


@contextmanager
def disk_with_room_for(size):
    """Let no file that is written grow beyond so many bytes, as if the disk was full then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
