"""Which device, and which precision its large products are worth."""

from __future__ import annotations

import torch

from recdistill.errors import ConfigError

BF16_DIM = 64
"""Below this many dimensions the products are too small for half precision to matter."""


def resolve_device(device: str) -> torch.device:
    """`auto` is CUDA where there is one."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device not in ("cpu", "cuda"):
        raise ConfigError(f"device = {device!r}: give auto, cpu or cuda.")
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device = 'cuda': this machine has no CUDA device. Give auto or cpu.")
    return torch.device(device)


def product_precision(device: torch.device, dim: int) -> torch.dtype:
    """bf16 on CUDA and on processors with AVX512-BF16, for tables wide enough; else fp32."""
    if device.type == "cuda":
        return torch.bfloat16 if dim >= BF16_DIM else torch.float32
    return torch.bfloat16 if narrow_products(dim) else torch.float32


def narrow_products(dim: int) -> bool:
    """Whether this processor multiplies tables of `dim` columns in half precision."""
    return dim >= BF16_DIM and _processor_has_bf16()


def _processor_has_bf16() -> bool:
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(supported()) if supported is not None else False
