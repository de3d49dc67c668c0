#!/usr/bin/env python3
"""Checks that transformers loads a whole checkpoint that was exported, and that it computes what it is to.

    .deps/bin/python tests/golden/check_wholes.py FOLDER [tests/golden/wholes/CASE]

Every weight must be there and no other; with a golden case, of which nothing was trained, logits must be its.
Needs torch and transformers (5.17 was tried).
"""
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForImageTextToText, Qwen2AudioForConditionalGeneration

from make_wholes import IMAGE, heard, untiled


def load(folder, dtype=torch.float32):
    audio = AutoConfig.from_pretrained(folder).model_type == "qwen2_audio"
    of_type = Qwen2AudioForConditionalGeneration if audio else AutoModelForImageTextToText
    model, info = of_type.from_pretrained(folder, output_loading_info=True, attn_implementation="eager", dtype=dtype)
    left = {key: sorted(value) for key, value in info.items() if value}
    assert not left, f"{folder}: {left}"
    return model.eval()


def logits(model, golden):
    ids, media, grid = golden["ids"], golden["media"], golden.get("grid")
    kinds = (ids == IMAGE).long()
    if model.config.model_type == "llava_next":
        return untiled(model, ids, media)
    if model.config.model_type == "qwen2_audio":
        return heard(model, ids, media)
    if grid is not None:
        return model(input_ids=ids, pixel_values=media.flatten(1), image_grid_thw=grid, mm_token_type_ids=kinds).logits
    more = {"token_type_ids": kinds} if model.config.model_type == "gemma3" else {}
    return model(input_ids=ids, pixel_values=media, **more).logits


if __name__ == "__main__":
    with torch.no_grad():
        loaded = load(Path(sys.argv[1]))
        print(f"{sys.argv[1]}: {type(loaded).__name__}, all weights and no other")
        if len(sys.argv) > 2:
            expected = load_file(Path(sys.argv[2]) / "golden.safetensors")
            got = logits(loaded, expected)
            error = ((got - expected["logits"]).abs().max() / expected["logits"].abs().max()).item()
            assert error <= 1e-6, error
            print(f"logits: {error:.1e} of the largest")
