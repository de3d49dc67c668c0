#!/usr/bin/env python3
"""Writes tests/golden/rope_positions.json: where transformers' Qwen2-VL puts the tokens of mixed samples.

    .deps/bin/python tests/golden/make_positions.py

A sample's parts are a number of text tokens, or the patches of an item in time, downwards and across. Needs torch 2.11
and transformers 5.17.
"""

import json
import random
from pathlib import Path

import torch
from transformers import Qwen2VLConfig, Qwen2VLModel

TEXT = dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2,
            vocab_size=16, rope_parameters=dict(rope_type="default", mrope_section=[2, 1, 1]))  # fmt: skip


def sample(rng, merge):
    """Begins or ends with text or without; between two items there always is some."""
    parts = []
    for _ in range(rng.randint(0, 4)):
        edges = [merge * rng.randint(1, 5) for _ in range(2)]
        parts += [rng.randint(1, 6), [rng.choice([1, 1, 1, 2, 7]), *edges]]
    parts += [rng.randint(1, 6)]
    return parts[rng.randint(0, 1) :] if len(parts) > 1 else parts


def main():
    rng = random.Random(1)
    cases = []
    for merge in (1, 2, 3):
        vision = dict(depth=1, embed_dim=8, hidden_size=16, num_heads=2, spatial_merge_size=merge)
        model = Qwen2VLModel(Qwen2VLConfig(text_config=TEXT, vision_config=vision))
        for _ in range(40):
            parts = sample(rng, merge)
            grids = [part for part in parts if isinstance(part, list)]
            kinds = []
            for part in parts:
                text = isinstance(part, int)
                kinds += [0] * part if text else [1] * (part[0] * part[1] * part[2] // merge**2)
            kinds = torch.tensor([kinds])
            grid = torch.tensor(grids) if grids else None
            positions, _ = model.get_rope_index(torch.ones_like(kinds), kinds, image_grid_thw=grid)
            cases.append({"merge": merge, "parts": parts, "positions": positions[:, 0].tolist()})
    text = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    (Path(__file__).parent / "rope_positions.json").write_text(f"[\n{text}\n]\n")


if __name__ == "__main__":
    main()
