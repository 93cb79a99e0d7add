"""Which processor computes, and with which instructions: PyTorch and what it calls choose their sums by both."""

from __future__ import annotations

import torch


def processor_of(device: str) -> str:
    """Return the name of a CUDA device, or of the CPU with the instructions that PyTorch uses of it.

    The instructions alone would not do: oneDNN and MKL also go by the maker, and by how large the caches are.
    """
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    name = torch.cpu.get_capabilities().get("cpu_name", "CPU")
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"
