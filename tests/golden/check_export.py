#!/usr/bin/env python3
"""Checks that transformers loads what save_pretrained writes, with every weight in its place.

    .deps/bin/python tests/golden/check_export.py build/release/tests/models_test

Lets the test program read each golden model and write it again, loads the result with from_pretrained, and compares
logits or hidden states with the golden ones.
"""
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file
from transformers import AutoConfig, CLIPVisionModel, LlamaForCausalLM, WhisperModel

GOLDEN = Path(__file__).parent / "models"


def load(folder, family):
    model, info = family.from_pretrained(folder, output_loading_info=True, attn_implementation="eager")
    info = {key: sorted(value) for key, value in info.items() if value}
    if family is WhisperModel:  # the encoder alone is exported
        info["missing_keys"] = [key for key in info.get("missing_keys", []) if not key.startswith("decoder.")]
    left = {key: value for key, value in info.items() if value}
    assert not left, f"{folder.name}: {left}"
    return model.eval()


def outputs(name, folder, golden):
    if name.startswith("llama"):
        model = load(folder, LlamaForCausalLM)
        return model(inputs_embeds=golden["hidden.model.embed_tokens"]).logits, golden["logits"]
    if name.startswith("clip"):
        out = load(folder, CLIPVisionModel)(pixel_values=golden["media"], output_hidden_states=True)
        last = max(key for key in golden if key.startswith("hidden.vision_model.encoder.layers."))
        return out.hidden_states[-1], golden[last]
    return load(folder, WhisperModel).encoder(golden["media"]).last_hidden_state, golden["hidden.layer_norm"]


def main():
    transformers.logging.set_verbosity_error()  # the report of the missing decoder
    with tempfile.TemporaryDirectory() as target:
        subprocess.run([sys.argv[1], "[export]"], check=True, env={**os.environ, "CORNSTARCH_EXPORT_DIR": target})
        for folder in sorted(Path(target).iterdir()):
            golden = load_file(GOLDEN / folder.name / "golden.safetensors")
            AutoConfig.from_pretrained(folder)
            with torch.no_grad():
                got, expected = outputs(folder.name, folder, golden)
            error = (got - expected).abs().max().item()
            assert error <= 1e-5, f"{folder.name}: {error}"
            print(f"{folder.name}: {error:.1e}")


if __name__ == "__main__":
    main()
