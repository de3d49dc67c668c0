#!/usr/bin/env python3
"""Checks that Hugging Face's peft and transformers load what a run with adapters writes, and compute the same with it.

    python tests/golden/check_adapters.py build/release/bin/cornstarch-train

The LLM's: trains on tests/golden/adapters (make_adapters.py), on one rank and over tp 2, and compares the logits with those of the
model that peft has trained there; so it does with merged weights. An encoder's: trains one of each family for a few steps,
and compares what peft makes of the adapters with what transformers makes of the merged weights. Needs torch,
transformers and peft (5.17 and 0.21 were tried); training needs none of them."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import transformers
from make_adapters import LR, LENGTH, ROOT, TALK, batch
from peft import PeftModel
from transformers import (AutoModelForCausalLM, CLIPVisionModel, Dinov2Model, Qwen2AudioEncoder, SiglipVisionModel,
                          WhisperForConditionalGeneration)

REPOSITORY = ROOT.parents[2]
TOLERANCE = 1e-4  # transformers has norms and rotary angles in fp32, whatever the model's type


def run(program, folder, config, ranks, *extra):
    (folder / "run.yaml").write_text(json.dumps(config))
    done = subprocess.run([program, "train", "--config", folder / "run.yaml", "--local-ranks", str(ranks), *extra],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return Path(config["run_dir"]) / "model"


def train_llm(program, folder, tp, merge):
    stages = [["model.embed_tokens", "model.layers.0..1", "model.norm", "lm_head"]]
    config = {
        "model": {"llm": {
            "family": "llama", "pretrained": str(ROOT / "base"), "parallel": {"tp": tp, "stages": stages},
            "lora": {"rank": 4, "alpha": 12, "targets": ["all-linear"], "pretrained": str(ROOT / "begun"), "merge": merge}}},
        "batch": {"microbatch_size": 3, "global_size": len(TALK), "sequence_length": LENGTH},
        "data": {"train": [{"path": str(ROOT / "train.jsonl")}],
                 "tokenizer": str(REPOSITORY / "configs" / "example" / "tokenizer.json")},
        "optimizer": {"lr": LR, "weight_decay": 0}, "lr_schedule": {"type": "constant", "warmup_steps": 0},
        "precision": "fp64", "steps": 20, "run_dir": str(folder / f"llm-{tp}-{merge}")}
    return run(program, folder, config, tp) / "llm"


def load_whole(kind, folder):
    model, info = kind.from_pretrained(folder, output_loading_info=True, dtype=torch.float64)
    info["missing_keys"] = [key for key in info["missing_keys"] if not key.startswith(("model.decoder.", "proj_out."))]  # Whisper's
    assert not any(info.values()), info
    return model.eval()


def load_adapters(model, folder):
    """With none of them left over or missing."""
    loaded = PeftModel.from_pretrained(model.eval(), folder)
    fresh = [p for name, p in loaded.named_parameters() if "lora_B" in name and ".decoder." not in name]
    assert fresh and all(p.abs().max() > 0 for p in fresh), f"{folder}: adapters that were not read"
    return loaded


def apart(got, expected):
    return ((got - expected).abs().max() / expected.abs().max()).item()


def check_llm(program, folder):
    def base():
        return AutoModelForCausalLM.from_pretrained(ROOT / "base", dtype=torch.float64)

    ids = batch()[0]
    expected = PeftModel.from_pretrained(base(), ROOT / "trained")(input_ids=ids).logits
    for tp, merge in ((1, False), (2, False), (1, True)):
        written = train_llm(program, folder, tp, merge)
        model = load_whole(AutoModelForCausalLM, written) if merge else load_adapters(base(), written)
        error = apart(model(input_ids=ids).logits, expected)
        print(f"llama, tp {tp}, merge {merge}: logits within {error:.1e}")
        assert error <= TOLERANCE


VISION = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "image_size": 32, "patch_size": 8}
AUDIO = {"d_model": 32, "encoder_ffn_dim": 48, "encoder_layers": 2, "encoder_attention_heads": 4, "num_mel_bins": 40,
         "max_source_positions": 50}
ENCODERS = {"clip_vision_model": (CLIPVisionModel, "<image>", VISION), "siglip_vision_model": (SiglipVisionModel, "<image>", VISION),
            "dinov2": (Dinov2Model, "<image>", {k: v for k, v in VISION.items() if k != "intermediate_size"}),
            "whisper": (WhisperForConditionalGeneration, "<audio>", AUDIO),
            "qwen2_audio_encoder": (Qwen2AudioEncoder, "<audio>", AUDIO)}
LLM = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 4, "vocab_size": 400,
       "max_position_embeddings": 128}


def train_encoder(program, folder, family, name, placeholder, base, merge):
    example = REPOSITORY / "configs" / "example"
    encoder = {"family": family, "placeholder": placeholder,
               **({"pretrained": str(base)} if base else {"config": ENCODERS[family][2]})}
    if base:
        encoder["lora"] = {"rank": 4, "targets": ["all-linear"], "merge": merge}
    config = {
        "layout": "single", "model": {"encoders": {"it": encoder}, "llm": {"family": "llama", "config": LLM}},
        "batch": {"microbatch_size": 2, "global_size": 4, "sequence_length": 96},
        "data": {"train": [{"path": str(folder / f"{placeholder[1:-1]}.jsonl"), "media_root": str(example)}],
                 "tokenizer": str(example / "tokenizer.json")},
        "optimizer": {"lr": 0.01}, "precision": "fp64", "steps": 4, "run_dir": str(folder / name)}
    return run(program, folder, config, 1) / "it"


def split_example(folder):
    """The example's samples that have one kind of media only."""
    lines = (REPOSITORY / "configs" / "example" / "conversations.jsonl").read_text().splitlines()
    for kind, other in (("image", "audio"), ("audio", "image")):
        own = [line for line in lines if f"<{kind}>" in line and f"<{other}>" not in line]
        assert own
        (folder / f"{kind}.jsonl").write_text("\n".join(own) + "\n")


def check_encoder(program, folder, family):
    kind, placeholder, sizes = ENCODERS[family]
    base = train_encoder(program, folder, family, f"{family}-base", placeholder, None, False)
    written = {merge: train_encoder(program, folder, family, f"{family}-{merge}", placeholder, base, merge) for merge in (False, True)}
    models = [load_adapters(load_whole(kind, base), written[False]), load_whole(kind, written[True]), load_whole(kind, base)]
    torch.manual_seed(1)
    if placeholder == "<audio>":
        media = torch.randn(2, sizes["num_mel_bins"], 2 * sizes["max_source_positions"], dtype=torch.float64)
        encoders = [model.get_encoder() if kind is WhisperForConditionalGeneration else model for model in models]
        outputs = [encoder(media).last_hidden_state for encoder in encoders]
    else:
        media = torch.randn(2, 3, sizes["image_size"], sizes["image_size"], dtype=torch.float64)
        outputs = [model(pixel_values=media).last_hidden_state for model in models]
    error, moved = apart(outputs[0], outputs[1]), apart(outputs[2], outputs[1])
    print(f"{family}: with peft and merged, features within {error:.1e}; of the base {moved:.1e}")
    assert error <= 1e-5 and moved > 0.01


def main(program):
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        check_llm(program, folder)
        split_example(folder)
        for family in ENCODERS:
            check_encoder(program, folder, family)


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()  # the report of Whisper's missing decoder
    with torch.no_grad():
        main(Path(sys.argv[1]).resolve())
