"""Linear layers with weights packed once by oneDNN: on a CPU and for few rows faster than unpacked ones."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from models.engine.backend import BackendUnavailableError
from models.transformer import Trunk


class PackedLinear(nn.Module):
    """A linear layer without bias."""

    def __init__(self, weight_NI: Tensor) -> None:
        super().__init__()
        self.packed = torch.ops.mkldnn._reorder_linear_weight(weight_NI.detach(), None)

    def forward(self, x: Tensor) -> Tensor:
        """Return x W^T."""
        found: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.packed, None, "none", [], "")
        return found


def check_packing(weight: Tensor) -> None:
    """See that weights of this kind can be packed here.

    Raises:
        BackendUnavailableError: PyTorch has no such operator here, or not for this dtype.
    """
    operators = ("_reorder_linear_weight", "_linear_pointwise")
    if not torch._C._has_mkldnn or not all(hasattr(torch.ops.mkldnn, name) for name in operators):
        raise BackendUnavailableError("this PyTorch has no packed oneDNN linear layers")
    known = {torch.float32: True, torch.bfloat16: torch.ops.mkldnn._is_mkldnn_bf16_supported()}
    if weight.device.type != "cpu" or not known.get(weight.dtype, False):
        raise BackendUnavailableError(f"oneDNN packs no {weight.dtype} weights on {weight.device.type} here")


@torch.inference_mode()
def packed_trunk(trunk: Trunk) -> Trunk:
    """Return a copy of a trunk with packed linear layers."""
    made = copy.deepcopy(trunk)
    for module in list(made.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.Linear) and child.bias is None:
                setattr(module, name, PackedLinear(child.weight))
    return made
