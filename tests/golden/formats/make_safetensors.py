"""Writes mixed.safetensors, one tensor of each dtype, with Hugging Face's own writer."""

import pathlib

import torch
from safetensors.torch import save_file

tensors = {
    "b": torch.arange(3, dtype=torch.float32),
    "a.x": torch.ones(2, 2, dtype=torch.bfloat16),
    "c": torch.arange(2),
    "d": torch.tensor([1.5], dtype=torch.float64),
    "e": torch.tensor(True),
    "é\n": torch.zeros(0, 4),
    "i": torch.tensor([1, 2, 3], dtype=torch.int8),
    "u": torch.tensor([250], dtype=torch.uint8),
    "h": torch.tensor([0.5], dtype=torch.float16),
    "s": torch.tensor([-2], dtype=torch.int16),
    "t": torch.tensor([7], dtype=torch.int32),
}
save_file(tensors, pathlib.Path(__file__).with_name("mixed.safetensors"), metadata={"format": "pt"})
