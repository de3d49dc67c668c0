#!/usr/bin/env python3
"""Checks that transformers loads what a run writes, with every weight in its place and in the type that is said.

    .deps/bin/python tests/golden/check_export.py build/release/tests/models_test
    .deps/bin/python tests/golden/check_export.py runs/demo/model

Of a test program: lets it read each golden model and write it again, and compares logits or hidden states of the result
with the golden ones. Of a run's model/: loads each folder as its user would, with the processor or tokenizer beside the
weights, and lets it compute. Needs torch and transformers (5.17 was tried); neither is needed for training.
"""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy
import torch
import transformers
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import (AutoConfig, AutoFeatureExtractor, AutoImageProcessor, AutoModelForCausalLM, AutoTokenizer,
                          CLIPVisionModel, Dinov2Model, Qwen2AudioEncoder, SiglipVisionModel, WhisperForConditionalGeneration, WhisperModel, pipeline)
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VisionTransformerPretrainedModel, Qwen2_5_VLTextModel
from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2VisionTransformerPretrainedModel, Qwen2VLTextModel

GOLDEN = Path(__file__).parent / "models"
TEXT = "What digit do you see?\nSeven, and  then 12.\n"
TEXT_PARTS = (Qwen2VLTextModel, Qwen2_5_VLTextModel)


def load(folder, family, dtype="auto"):
    model, info = family.from_pretrained(folder, output_loading_info=True, attn_implementation="eager", dtype=dtype)
    info = {key: sorted(value) for key, value in info.items() if value}
    if family in (WhisperModel, WhisperForConditionalGeneration):  # the encoder alone is exported
        others = ("decoder.", "model.decoder.", "proj_out.")
        info["missing_keys"] = [key for key in info.get("missing_keys", []) if not key.startswith(others)]
    if family in TEXT_PARTS:  # which have no head: it lies beside, unless it is tied
        head = [] if model.config.tie_word_embeddings else ["lm_head.weight"]
        assert info.pop("unexpected_keys", []) == head, f"{folder}: {info}"
    left = {key: value for key, value in info.items() if value}
    assert not left, f"{folder}: {left}"
    return model.eval()


def check_type(folder):
    """config.json says of which type the weights are, and transformers reads it so."""
    said = json.loads((folder / "config.json").read_text())["torch_dtype"]
    for file in folder.glob("*.safetensors"):
        types = {str(t.dtype) for t in load_file(file).values()}
        assert types == {f"torch.{said}"}, f"{file}: {types}, config.json says {said}"
    assert AutoConfig.from_pretrained(folder).dtype == getattr(torch, said), folder
    return said


def logits_of_text_part(folder, family, dtype="auto", **inputs):
    model = load(folder, family, dtype)
    hidden = model(**inputs).last_hidden_state
    head = load_file(folder / "model.safetensors").get("lm_head.weight", model.embed_tokens.weight)
    return hidden @ head.to(hidden.dtype).T


def outputs(name, folder, golden):
    if name.startswith(("qwen2vlvision", "qwen25vlvision")):
        family = Qwen2VisionTransformerPretrainedModel if name.startswith("qwen2vl") else Qwen2_5_VisionTransformerPretrainedModel
        features = load(folder, family)(golden["media"].flatten(1), grid_thw=golden["grid"]).pooler_output
        return features, golden["hidden.merger"]
    if name.startswith(("qwen2vl", "qwen25vl")):
        family = Qwen2VLTextModel if name.startswith("qwen2vl") else Qwen2_5_VLTextModel
        return logits_of_text_part(folder, family, torch.float32, inputs_embeds=golden["hidden.model.embed_tokens"],
                                   position_ids=golden["positions"]), golden["logits"]
    if name.startswith("qwen2audio"):
        return load(folder, Qwen2AudioEncoder)(golden["media"]).last_hidden_state, golden["hidden.layer_norm"]
    if name.startswith(("gemma", "llama", "mistral", "olmo", "qwen")):
        model = load(folder, AutoModelForCausalLM, torch.float32)
        return model(inputs_embeds=golden["hidden.model.embed_tokens"]).logits, golden["logits"]
    if name.startswith("clip"):
        out = load(folder, CLIPVisionModel)(pixel_values=golden["media"], output_hidden_states=True)
        last = max(key for key in golden if key.startswith("hidden.vision_model.encoder.layers."))
        return out.hidden_states[-1], golden[last]
    if name.startswith("siglip"):
        out = load(folder, SiglipVisionModel)(pixel_values=golden["media"])
        return out.last_hidden_state, golden["hidden.vision_model.post_layernorm"]
    if name.startswith("dinov2"):
        return load(folder, Dinov2Model)(pixel_values=golden["media"]).last_hidden_state, golden["hidden.layernorm"]
    load(folder, WhisperForConditionalGeneration)
    return load(folder, WhisperModel).encoder(golden["media"]).last_hidden_state, golden["hidden.layer_norm"]


def check_golden(program):
    with tempfile.TemporaryDirectory() as target:
        subprocess.run([program, "[export]"], check=True, env={**os.environ, "CORNSTARCH_EXPORT_DIR": target})
        for folder in sorted(Path(target).iterdir()):
            golden = load_file(GOLDEN / folder.name / "golden.safetensors")
            said = check_type(folder)
            got, expected = outputs(folder.name, folder, golden)
            error = (got - expected).abs().max().item()
            assert error <= 1e-5, f"{folder.name}: {error}"
            print(f"{folder.name}: {said}, {error:.1e}")


def check_pictures(folder, family):
    model, processor = load(folder, family), AutoImageProcessor.from_pretrained(folder)
    picture = numpy.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=numpy.uint8)
    pixels = processor(picture, return_tensors="pt")["pixel_values"].to(model.dtype)
    assert model(pixel_values=pixels).last_hidden_state.isfinite().all()


def check_patches(folder, family):
    model, processor = load(folder, family), AutoImageProcessor.from_pretrained(folder)
    picture = numpy.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=numpy.uint8)
    prepared = processor(picture, return_tensors="pt")
    features = model(prepared["pixel_values"].to(model.dtype), grid_thw=prepared["image_grid_thw"]).pooler_output
    assert features.isfinite().all()


def check_sound(folder, family):
    extractor = AutoFeatureExtractor.from_pretrained(folder)
    encoder = load(folder, family)
    if family is WhisperModel:
        load(folder, WhisperForConditionalGeneration)
        encoder = encoder.encoder
    sound = numpy.random.default_rng(0).standard_normal(8000)
    features = extractor(sound, sampling_rate=extractor.sampling_rate, return_tensors="pt")["input_features"]
    assert encoder(features.to(encoder.dtype)).last_hidden_state.isfinite().all()


def check_text_part(folder, family):
    tokenizer = check_tokenizer(folder)
    ids = tokenizer(TEXT, add_special_tokens=False, return_tensors="pt")["input_ids"]
    assert logits_of_text_part(folder, family, input_ids=ids).isfinite().all()


def check_text(folder):
    load(folder, AutoModelForCausalLM)
    check_tokenizer(folder)
    answer = pipeline("text-generation", model=str(folder))(TEXT, max_new_tokens=4, do_sample=False)
    assert answer[0]["generated_text"].startswith(TEXT)


def check_tokenizer(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(TEXT, add_special_tokens=False)["input_ids"]
    expected = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(TEXT, add_special_tokens=False).ids
    assert ids == expected, f"{folder}: {ids} instead of {expected}"
    end = json.loads((folder / "generation_config.json").read_text()).get("eos_token_id")
    ends = end if isinstance(end, list) else [end]
    assert end is None or tokenizer.eos_token_id in ends, f"{folder}: {tokenizer.eos_token_id} is not in {ends}"
    return tokenizer


def check_projector(folder):
    if not (folder / "projector.safetensors").exists():
        return ""
    said, weights = json.loads((folder / "projector_config.json").read_text()), load_file(folder / "projector.safetensors")
    first, last = ("in_proj", "out_proj") if said["type"] == "mlp" else ("projection", "projection")
    sizes = (weights[f"projector.{first}.weight"].shape[1], weights[f"projector.{last}.weight"].shape[0])
    assert sizes == (said["input_size"], said["output_size"]), f"{folder}: {sizes}"
    return f", {said['type']} projector {sizes[0]} -> {sizes[1]}"


def check_run(model):
    checks = {"clip_vision_model": lambda folder: check_pictures(folder, CLIPVisionModel),
              "siglip_vision_model": lambda folder: check_pictures(folder, SiglipVisionModel),
              "dinov2": lambda folder: check_pictures(folder, Dinov2Model),
              "whisper": lambda folder: check_sound(folder, WhisperModel),
              "qwen2_vl_vision": lambda folder: check_patches(folder, Qwen2VisionTransformerPretrainedModel),
              "qwen2_5_vl_vision": lambda folder: check_patches(folder, Qwen2_5_VisionTransformerPretrainedModel),
              "qwen2_audio_encoder": lambda folder: check_sound(folder, Qwen2AudioEncoder),
              "qwen2_vl_text": lambda folder: check_text_part(folder, Qwen2VLTextModel),
              "qwen2_5_vl_text": lambda folder: check_text_part(folder, Qwen2_5_VLTextModel),
              "llama": check_text, "mistral": check_text, "gemma2": check_text, "gemma3_text": check_text,
              "olmo2": check_text, "qwen2": check_text, "qwen3": check_text}
    folders = sorted(path.parent for path in model.glob("*/config.json"))
    assert folders, f"{model} holds no folder with a config.json: give a run's model/"
    for folder in folders:
        family = json.loads((folder / "config.json").read_text())["model_type"]
        checks[family](folder)
        print(f"{folder}: {family}, {check_type(folder)}{check_projector(folder)}")


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()  # the report of the missing decoder
    given = Path(sys.argv[1])
    with torch.no_grad():
        check_run(given) if given.is_dir() else check_golden(given.resolve())
