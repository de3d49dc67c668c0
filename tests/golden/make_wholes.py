#!/usr/bin/env python3
"""Golden whole checkpoints: small random ones of several models in one folder, and what transformers computes of them.

    .deps/bin/python tests/golden/make_wholes.py [case...]

Writes tests/golden/wholes/<case>/: the checkpoint as a user's folder has it (but for the tokenizer, which is that of
configs/example), train.jsonl with its pictures or recordings, and golden.safetensors: of the first sample what the encoder takes
(`media`, and `grid` where pictures have sizes of their own), ids, labels, logits; the loss of all. Needs torch 2.11 and
transformers 5.17.
"""
import json
import re
import sys
import wave
import zlib
from pathlib import Path

import numpy
import torch
import torch.nn.functional as F
import transformers
from PIL import Image
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers import (Gemma3Config, Gemma3ForConditionalGeneration, LlavaConfig,
                          LlavaForConditionalGeneration, LlavaNextConfig, LlavaNextForConditionalGeneration,
                          Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2AudioConfig, Qwen2AudioForConditionalGeneration,
                          Qwen2VLConfig, Qwen2VLForConditionalGeneration)

from make_models import randomize, save_weights

ROOT = Path(__file__).parent / "wholes"
TOKENIZER = Tokenizer.from_file(str(Path(__file__).parents[2] / "configs" / "example" / "tokenizer.json"))
END, IMAGE = 1, 399  # ids; IMAGE is a recording's, too
TALKS = [("<image>\nWhat digit do you see?", "Seven."), ("Look:<image> which one is it?", "It is a three, not an eight.")]

TEXT = dict(vocab_size=400, hidden_size=16, intermediate_size=22, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=256, pad_token_id=None, bos_token_id=None, eos_token_id=END)
CLIP = dict(model_type="clip_vision_model", hidden_size=16, intermediate_size=26, num_hidden_layers=3, num_attention_heads=4,
            image_size=8, patch_size=4)
SIGLIP = dict(CLIP, model_type="siglip_vision_model", vision_use_head=False)
AUDIO = dict(model_type="qwen2_audio_encoder", d_model=16, encoder_ffn_dim=26, encoder_layers=2, encoder_attention_heads=4,
             num_mel_bins=8, max_source_positions=8)
MROPE = dict(rope_type="default", rope_theta=100.0, mrope_section=[2, 1, 1])

CLIP_PICTURES = dict(image_processor_type="CLIPImageProcessor", do_resize=True, size={"shortest_edge": 8}, resample=3,
                     do_center_crop=True, crop_size={"height": 8, "width": 8}, do_rescale=True, rescale_factor=1 / 255,
                     do_normalize=True, do_convert_rgb=True, image_mean=[0.48, 0.46, 0.41], image_std=[0.27, 0.26, 0.28])
SIGLIP_PICTURES = dict(image_processor_type="SiglipImageProcessor", do_resize=True, size={"height": 8, "width": 8}, resample=3,
                       do_rescale=True, rescale_factor=1 / 255, do_normalize=True, image_mean=[0.5, 0.5, 0.5],
                       image_std=[0.5, 0.5, 0.5])
QWEN_PICTURES = dict(image_processor_type="Qwen2VLImageProcessor", do_resize=True, min_pixels=16, max_pixels=4096, resample=3,
                     do_rescale=True, rescale_factor=1 / 255, do_normalize=True, do_convert_rgb=True, patch_size=2,
                     temporal_patch_size=2, merge_size=2, image_mean=[0.48, 0.46, 0.41], image_std=[0.27, 0.26, 0.28])
# One second: as long as the encoder hears.
RECORDINGS = dict(feature_extractor_type="WhisperFeatureExtractor", feature_size=8, sampling_rate=16000, hop_length=1000,
                  chunk_length=1, n_fft=400, padding_side="right", padding_value=0.0, dither=0.0, return_attention_mask=True)


def hub(name):
    """As the hub's files call weights, all written before transformers 4.52."""
    name = name.replace("model.vision_tower.", "vision_tower.vision_model.").replace("model.audio_tower.", "audio_tower.")
    name = name.replace("model.multi_modal_projector.", "multi_modal_projector.")
    return re.sub(r"^lm_head", "language_model.lm_head", name.replace("model.language_model.", "language_model.model."))


def since_452(name):
    """As transformers has called them in memory since then, and some files do."""
    return name.replace("model.vision_tower.", "model.vision_tower.vision_model.")


def of_transformers_5(name):
    """As it writes them."""
    name = name.replace("model.vision_tower.", "vision_tower.").replace("model.multi_modal_projector.", "multi_modal_projector.")
    name = name.replace("model.image_newline", "image_newline")
    return re.sub(r"^lm_head", "language_model.lm_head", name.replace("model.language_model.", "language_model.model."))


def qwen_hub(name):
    return name.replace("model.visual.", "visual.").replace("model.language_model.", "model.")


# case: (class of the config, its options, class of the model, names, type on disk, files, preprocessor, sizes of pictures)
CASES = {
    "llava": (LlavaConfig, dict(vision_config=CLIP, text_config=dict(TEXT, model_type="llama"), image_token_index=IMAGE,
                                image_seq_length=4),
              LlavaForConditionalGeneration, hub, torch.float32, 2, CLIP_PICTURES, [(8, 8), (8, 8)]),
    "llava_siglip": (LlavaConfig, dict(
        vision_config=SIGLIP, text_config=dict(TEXT, model_type="qwen2", tie_word_embeddings=True), image_token_index=IMAGE,
        image_seq_length=4, vision_feature_layer=-1, vision_feature_select_strategy="full", projector_hidden_act="relu"),
        LlavaForConditionalGeneration, since_452, torch.bfloat16, 1, SIGLIP_PICTURES, [(8, 8), (8, 8)]),
    "llava_next": (LlavaNextConfig, dict(vision_config=CLIP, text_config=dict(TEXT, model_type="mistral", sliding_window=None),
                                         image_token_index=IMAGE, image_seq_length=4),
                   LlavaNextForConditionalGeneration, of_transformers_5, torch.float32, 1,
                   dict(CLIP_PICTURES, image_processor_type="LlavaNextImageProcessor"), [(8, 8), (8, 8)]),
    "qwen2_vl": (Qwen2VLConfig, dict(vision_config=dict(depth=2, embed_dim=16, hidden_size=32, num_heads=4, patch_size=2),
                                     text_config=dict(TEXT, hidden_size=32, rope_parameters=MROPE), image_token_id=IMAGE),
                 Qwen2VLForConditionalGeneration, qwen_hub, torch.float32, 1, QWEN_PICTURES, [(8, 12), (16, 4)]),
    "qwen2_5_vl": (Qwen2_5_VLConfig, dict(
        vision_config=dict(depth=2, hidden_size=16, intermediate_size=22, out_hidden_size=32, num_heads=4, patch_size=2,
                           window_size=8, fullatt_block_indexes=[1]),
        text_config=dict(TEXT, hidden_size=32, rope_parameters=MROPE, tie_word_embeddings=True), image_token_id=IMAGE),
        Qwen2_5_VLForConditionalGeneration, lambda name: name, torch.bfloat16, 1, QWEN_PICTURES, [(8, 12), (16, 4)]),
    "gemma3": (Gemma3Config, dict(
        vision_config=dict(SIGLIP, image_size=16), text_config=dict(TEXT, head_dim=4, sliding_window=6,
                                                                   layer_types=["sliding_attention", "full_attention"]),
        image_token_index=IMAGE, mm_tokens_per_image=4),
        Gemma3ForConditionalGeneration, hub, torch.float32, 1,
        dict(SIGLIP_PICTURES, image_processor_type="Gemma3ImageProcessor", size={"height": 16, "width": 16}, resample=2,
             do_pan_and_scan=None), [(16, 16), (16, 16)]),
    "qwen2_audio": (Qwen2AudioConfig, dict(audio_config=AUDIO, text_config=dict(TEXT, model_type="qwen2"), audio_token_index=IMAGE),
                    Qwen2AudioForConditionalGeneration, hub, torch.float32, 1, RECORDINGS, [(16000,), (16000,)]),
}


def config_json(case, model, dtype):
    config = json.loads(model.config.to_json_string(use_diff=False))
    config["dtype"] = str(dtype).removeprefix("torch.")
    config["architectures"] = [type(model).__name__]
    if case == "qwen2_vl":  # as the hub's: the language model's keys stand at the top
        text = config.pop("text_config")
        text.pop("model_type")
        rope = text.pop("rope_parameters")
        config = {**text, **config, "rope_theta": rope["rope_theta"],
                  "rope_scaling": {"type": "mrope", "mrope_section": rope["mrope_section"]}}
        config["vision_config"].pop("model_type")
    if case == "llava":  # as the hub's: what is said by default is left out
        for section, kept in (("vision_config", CLIP), ("text_config", dict(TEXT, model_type="llama"))):
            config[section] = {key: value for key, value in config[section].items() if key in kept and value is not None}
    return json.dumps(config, indent=1, sort_keys=True, default=str) + "\n"


def encode(text):
    return TOKENIZER.encode(text, add_special_tokens=False).ids


def row(talk, features):
    """The ids of chat_template plain, and which are learnt."""
    question, answer = talk
    before, after = question.split("<image>")
    asked = (encode(before) if before else []) + [IMAGE] * features + encode(after + "\n")
    told = encode(answer) + [END]
    return asked + told, [-100] * len(asked) + told


def media(folder, sizes):
    """Pictures of so many pixels, or recordings of so many samples; and the talks about them."""
    noise = numpy.random.default_rng(zlib.crc32(folder.name.encode()))
    kind, ending = ("image", "png") if len(sizes[0]) == 2 else ("audio", "wav")
    for i, size in enumerate(sizes):
        path = folder / f"{i}.{ending}"
        if kind == "image":
            Image.fromarray(noise.integers(0, 256, (*size, 3), dtype=numpy.uint8)).save(path)
            continue
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, RECORDINGS["sampling_rate"], 0, "NONE", ""))
            file.writeframes(noise.integers(-2**15, 2**15, size, dtype=numpy.int16).tobytes())
    lines = [{"id": str(i), kind: f"{i}.{ending}", "conversations": [
        {"from": "human", "value": question.replace("<image>", f"<{kind}>")}, {"from": "gpt", "value": answer}]}
        for i, (question, answer) in enumerate(TALKS)]
    (folder / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def untiled(model, ids, pixels):
    """LLaVA-NeXT of whole pictures only."""
    hidden = model.model.vision_tower(pixels, output_hidden_states=True).hidden_states[model.config.vision_feature_layer]
    rows = model.model.multi_modal_projector(hidden[:, 1:]).flatten(0, 1)
    embedded = model.get_input_embeddings()(ids)
    return model(inputs_embeds=embedded.masked_scatter((ids == IMAGE).unsqueeze(-1).expand_as(embedded), rows)).logits


def prepare(processor, path):
    if path.suffix == ".png":
        return processor(Image.open(path), return_tensors="pt")
    with wave.open(str(path)) as file:
        samples = numpy.frombuffer(file.readframes(file.getnframes()), dtype=numpy.int16).astype(numpy.float32) / 2**15
    return processor(samples, sampling_rate=file.getframerate(), return_tensors="pt")


def heard(model, ids, features):
    """Of recordings as long as the encoder hears."""
    return model(input_ids=ids, input_features=features, feature_attention_mask=torch.ones_like(features[:, 0], dtype=torch.long),
                 attention_mask=torch.ones_like(ids)).logits


def compute(model, prepared, talk):
    if isinstance(model, Qwen2AudioForConditionalGeneration):
        ids, labels = (torch.tensor([x]) for x in row(talk, model.config.audio_config.max_source_positions // 2))
        return ids, labels, heard(model, ids, prepared["input_features"])
    pixels, grid = prepared["pixel_values"], prepared.get("image_grid_thw")
    if grid is not None:
        features = int(grid.prod()) // model.config.vision_config.spatial_merge_size**2
    elif isinstance(model, Gemma3ForConditionalGeneration):
        features = model.config.mm_tokens_per_image
    else:
        features = model.config.image_seq_length
    ids, labels = (torch.tensor([x]) for x in row(talk, features))
    kinds = (ids == IMAGE).long()
    if isinstance(model, LlavaNextForConditionalGeneration):
        return ids, labels, untiled(model, ids, pixels)
    more = {} if grid is None else {"image_grid_thw": grid, "mm_token_type_ids": kinds}
    if isinstance(model, Gemma3ForConditionalGeneration):
        more["token_type_ids"] = kinds
    return ids, labels, model(input_ids=ids, pixel_values=pixels, **more).logits


def make(case):
    config_class, options, model_class, names, dtype, files, preprocessor, sizes = CASES[case]
    torch.manual_seed(zlib.crc32(case.encode()))
    model = model_class._from_config(config_class(**options), attn_implementation="eager").eval()
    randomize(model, dtype)
    folder = ROOT / case
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(config_json(case, model, dtype))
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor, indent=1) + "\n")
    media(folder, sizes)
    tied = getattr(model.config, "tie_word_embeddings", False)
    save_weights(folder, {names(name): p.detach().to(dtype).contiguous() for name, p in model.named_parameters()
                          if not (tied and name.startswith("lm_head"))}, files)
    golden, losses, targets = {}, 0, 0
    said = dict(preprocessor)
    if "feature_extractor_type" in said:
        processor = getattr(transformers, said.pop("feature_extractor_type"))(**said)
    else:
        kind = said.pop("image_processor_type").replace("LlavaNext", "CLIP")  # without tiles
        processor = getattr(transformers, kind + "Pil")(**said)
    for i, talk in enumerate(TALKS):
        prepared = prepare(processor, next(folder.glob(f"{i}.*")))
        with torch.no_grad():
            ids, labels, logits = compute(model, prepared, talk)
        losses += F.cross_entropy(logits[0, :-1], labels[0, 1:], reduction="sum").item()
        targets += int((labels[:, 1:] >= 0).sum())
        if i > 0:
            continue
        item = prepared["pixel_values" if "pixel_values" in prepared else "input_features"]
        if "image_grid_thw" in prepared:
            vision = model.config.vision_config
            golden["grid"] = prepared["image_grid_thw"]
            item = item.view(-1, 3, vision.temporal_patch_size, vision.patch_size, vision.patch_size)
        golden.update(media=item, ids=ids, labels=labels, logits=logits)
    golden["loss"] = torch.tensor(losses / targets)
    save_file({k: v.contiguous().clone() for k, v in golden.items()}, folder / "golden.safetensors")


if __name__ == "__main__":
    for name in sys.argv[1:] or CASES:
        make(name)
        print(name)
