"""The processor of a numeric profile: which one computes, with which of its instructions."""

import os
import subprocess
import sys

import pytest
import torch

from models.engine.backends import choose_backend
from models.engine.processor import processor_of

DECODED = """
import torch, models
from models.digests import digest_of_bytes
from models.engine.processor import processor_of

torch.manual_seed(0)
torch.set_num_threads(1)
x = torch.randn(1, 64, 400)
y = torch.nn.functional.elu(torch.nn.Conv1d(64, 64, 7)(x)).exp().mean(dim=1)
print(processor_of("cpu"), digest_of_bytes(y.detach().numpy().tobytes()), sep="|")
"""


def seen_with(capability):
    environment = {**os.environ, **({"ATEN_CPU_CAPABILITY": capability} if capability else {})}
    command = [sys.executable, "-c", DECODED]
    told = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    return told.strip().split("|")


@pytest.mark.skipif(torch.backends.cpu.get_cpu_capability() == "DEFAULT", reason="there is one set of instructions")
def test_other_instructions_of_the_same_processor_are_another_processor():
    (here, bits), (plain, other_bits) = seen_with(None), seen_with("default")
    assert bits != other_bits
    assert here != plain


def test_the_profile_of_a_backend_names_the_processor():
    choice = choose_backend("torch", device="cpu", dtype="float32", threads=1)

    class Running:
        name = "torch"

    assert choice.profile(Running(), device="cpu", slots=1).processor == processor_of("cpu")
