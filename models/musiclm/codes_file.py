"""The master of an asset: its semantic tokens and codec codes, in safetensors, under 50 kB a minute."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

NAME, MEDIA_TYPE = "codes.safetensors", "application/x-safetensors"


class CodesError(ValueError):
    """A file is not the codes of an asset."""


@dataclass(frozen=True, slots=True, eq=False)
class Codes:
    """Semantic tokens_Q and codec codes_FK, int64."""

    semantic_Q: NDArray[np.int64]
    codes_FK: NDArray[np.int64]


def write_codes(codes: Codes) -> bytes:
    """Return the file."""
    return save({"codes": codes.codes_FK.astype(np.int16), "semantic": codes.semantic_Q.astype(np.int16)})


def read_codes(data: bytes) -> Codes:
    """Read the file.

    Raises:
        CodesError: it is none.
    """
    try:
        tensors = load(data)
        return Codes(tensors["semantic"].astype(np.int64), tensors["codes"].astype(np.int64))
    except (SafetensorError, KeyError, ValueError) as error:
        raise CodesError(f"not a file of codes: {error}") from error
