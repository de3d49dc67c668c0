#!/usr/bin/env python3
"""Golden models: what transformers computes for small random models, one per option of each family.

    .deps/bin/python tests/golden/make_models.py [case...]

Writes tests/golden/models/<case>/: config.json and the weights as a user's folder has them, and golden.safetensors with
inputs, the output of every module ("hidden.<module>"), the loss and the gradient of every parameter ("grad.<name>").
Names are those of the module lists of cornstarch-train (old spelling). Needs torch 2.11 and transformers 5.17.
"""
import copy
import json
import sys
import zlib
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from transformers.modeling_outputs import CausalLMOutput
from transformers import (CLIPVisionConfig, CLIPVisionModel, Dinov2Config, Dinov2Model, Gemma2Config, Gemma2ForCausalLM, Gemma3ForCausalLM,
                          Gemma3TextConfig, LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM,
                          Olmo2Config, Olmo2ForCausalLM, Qwen2AudioEncoder, Qwen2AudioEncoderConfig, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM,
                          Qwen2_5_VLTextConfig, Qwen2_5_VLTextModel, Qwen2VLTextConfig, Qwen2VLTextModel,
                          SiglipVisionConfig, SiglipVisionModel, WhisperConfig, WhisperModel)
from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import Qwen2_5_VLVisionConfig
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VisionTransformerPretrainedModel
from transformers.models.qwen2_vl.configuration_qwen2_vl import Qwen2VLVisionConfig
from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2VisionTransformerPretrainedModel
from transformers.vision_utils import get_vision_window_index

ROOT = Path(__file__).parent / "models"
LLAMA = dict(vocab_size=29, hidden_size=16, intermediate_size=22, num_hidden_layers=2, num_attention_heads=4,
             max_position_embeddings=64, tie_word_embeddings=False, pad_token_id=None, bos_token_id=1, eos_token_id=2)
CLIP = dict(hidden_size=16, intermediate_size=26, num_hidden_layers=2, num_attention_heads=4, image_size=8,
            patch_size=4, num_channels=3)
WHISPER = dict(d_model=16, encoder_ffn_dim=26, encoder_layers=2, encoder_attention_heads=4, num_mel_bins=6,
               max_source_positions=7, decoder_layers=1, decoder_attention_heads=1, decoder_ffn_dim=4, vocab_size=8,
               max_target_positions=4, pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1)
QWEN2_AUDIO = dict(d_model=16, encoder_ffn_dim=26, encoder_layers=2, encoder_attention_heads=4, num_mel_bins=6,
                   max_source_positions=8)
SIGLIP = dict(hidden_size=16, intermediate_size=26, num_hidden_layers=2, num_attention_heads=4, image_size=8,
              patch_size=4, num_channels=3)
DINOV2 = dict(hidden_size=16, mlp_ratio=2, num_hidden_layers=2, num_attention_heads=4, image_size=8, patch_size=4)
QWEN2_VISION = dict(depth=2, num_heads=4, patch_size=2, spatial_merge_size=2, temporal_patch_size=2)
YARN = dict(rope_type="yarn", rope_theta=100.0, factor=4.0, original_max_position_embeddings=16)
LONGROPE = dict(rope_type="longrope", rope_theta=100.0, short_factor=[1.0, 1.5], long_factor=[2.0, 6.0],
                original_max_position_embeddings=8)
LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=32)

# case: (family, options of the model, options of this script)
#   prefix: of the weights' names ("" is the new spelling of CLIP); old_config: rope_theta and rope_scaling at the top
#   level, torch_dtype; shards: number of weight files; dtype: of the file; wrap: config as part of a larger model's
CASES = {
    "llama_mha": ("llama", dict(), {}),
    "llama_gqa": ("llama", dict(num_key_value_heads=2), {}),
    "llama_mqa": ("llama", dict(num_key_value_heads=1), {}),
    "llama_tied": ("llama", dict(num_key_value_heads=2, tie_word_embeddings=True), {}),
    "llama_attention_bias": ("llama", dict(num_key_value_heads=2, attention_bias=True), {}),
    "llama_mlp_bias": ("llama", dict(mlp_bias=True), {}),
    "llama_head_dim": ("llama", dict(num_key_value_heads=2, head_dim=6), {}),
    "llama_rms_norm_eps": ("llama", dict(rms_norm_eps=0.1), {}),
    "llama_rope_theta": ("llama", dict(rope_parameters=dict(rope_type="default", rope_theta=50.0)), {}),
    "llama_rope_theta_old": ("llama", dict(rope_parameters=dict(rope_type="default", rope_theta=50.0)),
                             dict(old_config=True)),
    "llama_rope_llama3": ("llama", dict(num_attention_heads=2, rope_parameters=dict(LLAMA3, rope_theta=100.0)), {}),
    "llama_rope_llama3_old": ("llama", dict(num_attention_heads=2, rope_parameters=dict(LLAMA3, rope_theta=100.0)), dict(old_config=True)),
    "llama_rope_linear": ("llama", dict(rope_parameters=dict(rope_type="linear", rope_theta=100.0, factor=2.5)), {}),
    "llama_rope_dynamic": ("llama", dict(rope_parameters=dict(rope_type="dynamic", rope_theta=100.0, factor=2.0)), {}),
    "llama_rope_dynamic_long": ("llama", dict(max_position_embeddings=6, rope_parameters=dict(
        rope_type="dynamic", rope_theta=100.0, factor=2.0)), {}),
    "llama_rope_dynamic_long_old": ("llama", dict(max_position_embeddings=4, head_dim=6, rope_parameters=dict(
        rope_type="dynamic", rope_theta=50.0, factor=4.5)), dict(old_config=True)),
    "llama_rope_longrope": ("llama", dict(rope_parameters=LONGROPE), {}),
    "llama_rope_longrope_short": ("llama", dict(max_position_embeddings=32, rope_parameters=dict(
        LONGROPE, original_max_position_embeddings=9)), dict(old_config=True)),
    "llama_rope_longrope_options": ("llama", dict(num_key_value_heads=2, rope_parameters=dict(
        LONGROPE, factor=3.0, attention_factor=1.3)), dict(old_config=True)),
    "llama_rope_yarn": ("llama", dict(hidden_size=32, rope_parameters=YARN), {}),
    "llama_rope_yarn_options": ("llama", dict(hidden_size=32, rope_parameters=dict(
        YARN, beta_fast=8.0, beta_slow=0.5, truncate=False, mscale=0.8, mscale_all_dim=0.3)), dict(old_config=True)),
    "llama_gelu": ("llama", dict(hidden_act="gelu"), {}),
    "llama_gelu_tanh": ("llama", dict(hidden_act="gelu_pytorch_tanh"), {}),
    "llama_relu": ("llama", dict(hidden_act="relu"), {}),
    "llama_padding": ("llama", dict(pad_token_id=5), {}),
    "llama_sharded": ("llama", dict(num_key_value_heads=2), dict(shards=3)),
    "llama_bf16": ("llama", dict(num_key_value_heads=2), dict(dtype=torch.bfloat16)),
    "llama_fp16": ("llama", dict(num_key_value_heads=2), dict(dtype=torch.float16)),
    "llama_fp64": ("llama", dict(num_key_value_heads=2, num_hidden_layers=1), dict(dtype=torch.float64)),
    "mistral": ("mistral", dict(num_key_value_heads=2, sliding_window=4), {}),
    "mistral_options": ("mistral", dict(num_key_value_heads=4, head_dim=6, hidden_act="gelu", rms_norm_eps=0.1,
                                        tie_word_embeddings=True, pad_token_id=5, sliding_window=None,
                                        rope_parameters=YARN), dict(old_config=True)),
    "qwen2": ("qwen2", dict(num_key_value_heads=2), {}),
    "qwen2_options": ("qwen2", dict(num_key_value_heads=1, hidden_act="gelu", rms_norm_eps=0.1, tie_word_embeddings=True,
                                    pad_token_id=5, rope_parameters=YARN, use_sliding_window=True, sliding_window=5,
                                    max_window_layers=1), {}),
    "qwen2vl": ("qwen2_vl_text", dict(hidden_size=32, num_key_value_heads=2, rope_parameters=dict(
        rope_type="default", rope_theta=100.0, mrope_section=[1, 2, 1])), {}),
    "qwen2vl_options": ("qwen2_vl_text", dict(
        hidden_size=32, num_key_value_heads=1, hidden_act="gelu", rms_norm_eps=0.1, tie_word_embeddings=True, pad_token_id=5,
        rope_parameters=dict(YARN, mrope_section=[1, 1, 1, 1]), use_sliding_window=True, sliding_window=5,
        max_window_layers=1), dict(old_config=True)),
    "qwen25vl": ("qwen2_5_vl_text", dict(hidden_size=32, num_key_value_heads=2, rope_parameters=dict(
        type="mrope", rope_theta=100.0, mrope_section=[2, 1, 1])), {}),
    "qwen3": ("qwen3", dict(num_key_value_heads=2, head_dim=6), {}),
    "qwen3_options": ("qwen3", dict(num_key_value_heads=4, head_dim=4, hidden_act="relu", rms_norm_eps=0.1,
                                    attention_bias=True, tie_word_embeddings=True, pad_token_id=5, rope_parameters=YARN),
                      dict(old_config=True)),
    "gemma3": ("gemma3_text", dict(num_key_value_heads=2, head_dim=6, sliding_window=4, sliding_window_pattern=2,
                                   query_pre_attn_scalar=6), {}),
    "gemma3_options": ("gemma3_text", dict(
        num_key_value_heads=4, head_dim=4, hidden_activation="gelu", rms_norm_eps=0.1, attention_bias=True,
        tie_word_embeddings=False, pad_token_id=5, sliding_window=5, query_pre_attn_scalar=9,
        layer_types=["full_attention", "sliding_attention"], rope_parameters={
            "full_attention": dict(rope_type="linear", rope_theta=100.0, factor=8.0),
            "sliding_attention": dict(rope_type="default", rope_theta=10.0)}, final_logit_softcapping=2.0), {}),
    "gemma2": ("gemma2", dict(num_key_value_heads=2, head_dim=6, sliding_window=4, query_pre_attn_scalar=6,
                              attn_logit_softcapping=1.5, final_logit_softcapping=2.0), {}),
    "gemma2_options": ("gemma2", dict(
        num_key_value_heads=4, head_dim=4, hidden_activation="gelu", rms_norm_eps=0.1, attention_bias=True,
        tie_word_embeddings=False, pad_token_id=5, sliding_window=5, query_pre_attn_scalar=9,
        layer_types=["full_attention", "sliding_attention"], rope_parameters=YARN, attn_logit_softcapping=0.7,
        final_logit_softcapping=None), dict(old_config=True)),
    "olmo2": ("olmo2", dict(num_key_value_heads=2), {}),
    "olmo2_options": ("olmo2", dict(num_key_value_heads=4, head_dim=6, hidden_act="gelu", rms_norm_eps=0.1,
                                    attention_bias=True, tie_word_embeddings=True, pad_token_id=5, rope_parameters=YARN),
                      dict(old_config=True)),
    "clip": ("clip_vision_model", dict(), dict(prefix="vision_model.")),
    "clip_new_spelling": ("clip_vision_model", dict(), dict(prefix="")),
    "clip_wrapped": ("clip_vision_model", dict(), dict(prefix="vision_model.", wrap=True)),
    "clip_gelu": ("clip_vision_model", dict(hidden_act="gelu"), dict(prefix="vision_model.")),
    "clip_gelu_tanh": ("clip_vision_model", dict(hidden_act="gelu_new"), dict(prefix="vision_model.")),
    "clip_silu": ("clip_vision_model", dict(hidden_act="silu"), dict(prefix="vision_model.")),
    "clip_relu": ("clip_vision_model", dict(hidden_act="relu"), dict(prefix="vision_model.")),
    "clip_layer_norm_eps": ("clip_vision_model", dict(layer_norm_eps=0.1), dict(prefix="vision_model.")),
    "clip_channels": ("clip_vision_model", dict(num_channels=1, num_attention_heads=2), dict(prefix="vision_model.")),
    "clip_uneven_patches": ("clip_vision_model", dict(image_size=11, patch_size=3), dict(prefix="vision_model.")),
    "siglip": ("siglip_vision_model", dict(), dict(prefix="vision_model.")),
    "siglip_options": ("siglip_vision_model", dict(hidden_act="quick_gelu", layer_norm_eps=0.1, num_channels=1,
                                                   num_attention_heads=2, image_size=11, patch_size=3),
                       dict(prefix="")),
    "dinov2": ("dinov2", dict(), dict(prefix="")),
    "dinov2_options": ("dinov2", dict(hidden_act="gelu_new", layer_norm_eps=0.1, num_channels=1, num_attention_heads=2,
                                      image_size=11, patch_size=3, qkv_bias=False, use_swiglu_ffn=True,
                                      layerscale_value=0.3, use_mask_token=False), dict(prefix="dinov2.")),
    "qwen2vlvision": ("qwen2_vl_vision", dict(embed_dim=16, hidden_size=12), dict(prefix="")),
    "qwen2vlvision_options": ("qwen2_vl_vision", dict(
        depth=3, embed_dim=16, hidden_size=10, num_heads=2, mlp_ratio=3, hidden_act="gelu", in_channels=1, patch_size=3,
        spatial_merge_size=3, temporal_patch_size=1, rope_parameters=dict(rope_type="axial", rope_theta=7.0)),
        dict(prefix="visual.", old_config=True)),
    "qwen25vlvision": ("qwen2_5_vl_vision", dict(hidden_size=16, intermediate_size=22, out_hidden_size=12, window_size=8,
                                                 fullatt_block_indexes=[1]), dict(prefix="")),
    "qwen25vlvision_options": ("qwen2_5_vl_vision", dict(
        depth=3, hidden_size=16, intermediate_size=14, out_hidden_size=10, num_heads=2, hidden_act="gelu", in_channels=1,
        patch_size=3, spatial_merge_size=3, temporal_patch_size=1, window_size=28, fullatt_block_indexes=[0, 2, 9],
        tokens_per_second=2, rope_parameters=dict(rope_type="axial", rope_theta=7.0)),
        dict(prefix="visual.", old_config=True)),
    "whisper": ("whisper", dict(), dict(prefix="model.encoder.")),
    "whisper_base_model": ("whisper", dict(), dict(prefix="encoder.")),
    "whisper_encoder_only": ("whisper", dict(encoder_attention_heads=2), dict(prefix="")),
    "whisper_quick_gelu": ("whisper", dict(activation_function="quick_gelu"), dict(prefix="model.encoder.")),
    "whisper_gelu_tanh": ("whisper", dict(activation_function="gelu_new"), dict(prefix="model.encoder.")),
    "qwen2audio": ("qwen2_audio_encoder", dict(), dict(prefix="")),
    "qwen2audio_options": ("qwen2_audio_encoder", dict(encoder_attention_heads=2, activation_function="gelu_new",
                                                       num_mel_bins=5, max_source_positions=7, scale_embedding=True),
                           dict(prefix="audio_tower.")),
    "whisper_relu": ("whisper", dict(activation_function="relu"), dict(prefix="model.encoder.")),
    "whisper_scale_embedding": ("whisper", dict(scale_embedding=True), dict(prefix="model.encoder.")),
}


def randomize(model, dtype):
    """Larger than the usual initial values, so that every term matters; exact in the file's dtype."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.dim() == 1:
                one = "norm" in name and name.endswith("weight") or "lambda" in name
                p.copy_(torch.randn_like(p) * 0.2 + (1.0 if one else 0.0))
            else:
                p.copy_(torch.randn_like(p) * 1.5 / p[0].numel() ** 0.5)
            p.copy_(p.to(dtype).to(p.dtype))


def record(golden, module, name, then=lambda x: x):
    def hook(_module, _inputs, output):
        golden[f"hidden.{name}"] = then(output[0] if isinstance(output, tuple) else output).detach()
    module.register_forward_hook(hook)


def decoder(config_class, model_class):
    def build(config):
        model = model_class._from_config(config_class(**config), attn_implementation="eager")
        return model, {name: p for name, p in model.named_parameters()}
    return build


class Headed(torch.nn.Module):
    """A text model with a head, as the class of the whole has it."""

    def __init__(self, model):
        super().__init__()
        self.config, self.model = model.config, model
        self.lm_head = torch.nn.Linear(self.config.hidden_size, self.config.vocab_size, bias=False)
        if self.config.tie_word_embeddings:
            self.lm_head.weight = model.embed_tokens.weight

    def forward(self, inputs_embeds, position_ids):
        hidden = self.model(inputs_embeds=inputs_embeds, position_ids=position_ids).last_hidden_state
        return CausalLMOutput(logits=self.lm_head(hidden))


def text_part(config_class, model_class):
    def build(config):
        model = Headed(model_class._from_config(config_class(**config), attn_implementation="eager"))
        return model, {name: p for name, p in model.named_parameters()}
    return build


def run_text_part(model, golden):
    golden["positions"] = torch.randint(0, 9, (3, 2, 9))
    run_decoder(model, golden, position_ids=golden["positions"])


def run_decoder(model, golden, **more):
    c = model.config
    record(golden, model.model.norm, "model.norm")
    for i, layer in enumerate(model.model.layers):
        record(golden, layer, f"model.layers.{i}")
    ids = torch.randint(0, c.vocab_size, (2, 9))
    ids[0, 2:4] = -1  # two rows of encoder 0's features
    ids[1, 5] = -1
    ids[1, 6] = -2  # one of encoder 1's
    labels = torch.where((ids < 0) | (torch.rand(ids.shape) < 0.3), -100, ids)
    features = [torch.randn(3, c.hidden_size, requires_grad=True), torch.randn(1, c.hidden_size, requires_grad=True)]
    embedded = model.model.embed_tokens(ids.clamp(min=0))
    for e, rows in enumerate(features):
        where = (ids == -1 - e).unsqueeze(-1).expand_as(embedded)
        embedded = embedded.masked_scatter(where, rows)
    golden["hidden.model.embed_tokens"] = embedded.detach()
    logits = model(inputs_embeds=embedded, **more).logits
    loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), reduction="sum")
    loss.backward()
    golden.update(ids=ids, labels=labels, logits=logits.detach(), loss=loss.detach())
    for e, rows in enumerate(features):
        golden[f"features.{e}"] = rows.detach()
        golden[f"grad.features.{e}"] = rows.grad


def tower(config_class, model_class):
    def build(config):
        model = model_class._from_config(config_class(**config), attn_implementation="eager")
        names = {"vision_model." + name.removeprefix("vision_model."): p for name, p in model.named_parameters()}
        return model, {name: p for name, p in names.items() if not name.startswith("vision_model.head.")}
    return build


def run_tower(model, golden):
    """CLIP's and SigLIP's: the latter's norm is that of the last hidden state, CLIP's of the pooled one only."""
    c = model.config
    inner = getattr(model, "vision_model", model)
    has_norm = c.model_type == "siglip_vision_model"
    for name in ["embeddings"] + (["post_layernorm"] if has_norm else ["pre_layrnorm"]):
        record(golden, getattr(inner, name), "vision_model." + name)
    for i, layer in enumerate(inner.encoder.layers):
        record(golden, layer, f"vision_model.encoder.layers.{i}")
    golden["media"] = torch.randn(2, c.num_channels, c.image_size, c.image_size)
    out = model(pixel_values=golden["media"], output_hidden_states=True)
    encoder_loss(out.last_hidden_state if has_norm else out.hidden_states[-1], golden)


def dinov2(config):
    model = Dinov2Model._from_config(Dinov2Config(**config), attn_implementation="eager")
    return model, {name: p for name, p in model.named_parameters()}


def run_dinov2(model, golden):
    c = model.config
    for name, layer in [("embeddings", model.embeddings), ("layernorm", model.layernorm)]:
        record(golden, layer, name)
    for i, layer in enumerate(model.encoder.layer):
        record(golden, layer, f"encoder.layer.{i}")
    golden["media"] = torch.randn(2, c.num_channels, c.image_size, c.image_size)
    encoder_loss(model(pixel_values=golden["media"]).last_hidden_state, golden)


def whisper(config):
    model = WhisperModel._from_config(WhisperConfig(**config), attn_implementation="eager")
    return model.encoder, {name: p for name, p in model.encoder.named_parameters()}


def qwen2_audio(config):
    encoder = Qwen2AudioEncoder._from_config(Qwen2AudioEncoderConfig(**config), attn_implementation="eager")
    return encoder, {name: p for name, p in encoder.named_parameters()}


def run_qwen2_audio(encoder, golden):
    record(golden, encoder.avg_pooler, "avg_pooler", lambda x: x.transpose(1, 2))
    run_whisper(encoder, golden)


def run_whisper(encoder, golden):
    record(golden, encoder.conv1, "conv1", F.gelu)
    record(golden, encoder.conv2, "conv2", F.gelu)
    golden["media"] = torch.randn(3, encoder.config.num_mel_bins, 2 * encoder.config.max_source_positions)
    for i, layer in enumerate(encoder.layers):
        record(golden, layer, f"layers.{i}")
    record(golden, encoder.layer_norm, "layer_norm")
    encoder.layers[0].register_forward_pre_hook(
        lambda _m, inputs: golden.update({"hidden.embed_positions": inputs[0].detach()}))
    encoder_loss(encoder(golden["media"]).last_hidden_state, golden)


def qwen_vision(config_class, model_class):
    def build(config):
        model = model_class._from_config(config_class(**config), attn_implementation="eager")
        return model, {name: p for name, p in model.named_parameters()}
    return build


def run_qwen_vision(model, golden):
    """Pictures of several sizes and a film, tokens in the order in which they come."""
    c = model.config
    m = c.spatial_merge_size
    grid = torch.tensor([[1, 2 * m, 3 * m], [1, m, m], [3, m, 2 * m], [1, 5 * m, 4 * m]])
    golden["grid"] = grid
    golden["media"] = torch.randn(int(grid.prod(-1).sum()), c.in_channels, c.temporal_patch_size, c.patch_size, c.patch_size)
    back = torch.arange(len(golden["media"]))
    if hasattr(c, "window_size"):  # there, windows come one behind the other
        index, _ = get_vision_window_index(grid, m, c.window_size, c.patch_size)
        back = (index[:, None] * m**2 + torch.arange(m**2)).flatten().argsort()
    record(golden, model.patch_embed, "patch_embed")
    for i, block in enumerate(model.blocks):
        record(golden, block, f"blocks.{i}", lambda x: x[back])
    out = model(golden["media"].flatten(1), grid_thw=grid).pooler_output
    golden["hidden.merger"] = out.detach()
    encoder_loss(out, golden)


def encoder_loss(out, golden):
    golden["weight"] = torch.randn_like(out)
    loss = (out * golden["weight"]).sum()
    loss.backward()
    golden["loss"] = loss.detach()


FAMILIES = {"llama": (LLAMA, decoder(LlamaConfig, LlamaForCausalLM), run_decoder),
            "mistral": (LLAMA, decoder(MistralConfig, MistralForCausalLM), run_decoder),
            "qwen2": (LLAMA, decoder(Qwen2Config, Qwen2ForCausalLM), run_decoder),
            "qwen2_vl_text": (LLAMA, text_part(Qwen2VLTextConfig, Qwen2VLTextModel), run_text_part),
            "qwen2_5_vl_text": (LLAMA, text_part(Qwen2_5_VLTextConfig, Qwen2_5_VLTextModel), run_text_part),
            "qwen3": (LLAMA, decoder(Qwen3Config, Qwen3ForCausalLM), run_decoder),
            "gemma2": (LLAMA, decoder(Gemma2Config, Gemma2ForCausalLM), run_decoder),
            "gemma3_text": (LLAMA, decoder(Gemma3TextConfig, Gemma3ForCausalLM), run_decoder),
            "olmo2": (LLAMA, decoder(Olmo2Config, Olmo2ForCausalLM), run_decoder),
            "clip_vision_model": (CLIP, tower(CLIPVisionConfig, CLIPVisionModel), run_tower),
            "siglip_vision_model": (SIGLIP, tower(SiglipVisionConfig, SiglipVisionModel), run_tower),
            "dinov2": (DINOV2, dinov2, run_dinov2),
            "qwen2_audio_encoder": (QWEN2_AUDIO, qwen2_audio, run_qwen2_audio),
            "qwen2_vl_vision": (QWEN2_VISION, qwen_vision(Qwen2VLVisionConfig, Qwen2VisionTransformerPretrainedModel),
                                run_qwen_vision),
            "qwen2_5_vl_vision": (QWEN2_VISION, qwen_vision(Qwen2_5_VLVisionConfig, Qwen2_5_VisionTransformerPretrainedModel),
                                  run_qwen_vision),
            "whisper": (WHISPER, whisper, run_whisper)}


def config_json(model, script):
    config = copy.deepcopy(model.config.to_dict())
    if script.get("old_config"):
        rope = config.pop("rope_parameters")
        config["rope_theta"] = rope.pop("rope_theta")
        config["rope_scaling"] = rope if rope["rope_type"] != "default" else None
        config["torch_dtype"] = config.pop("dtype", "float32")
    if script.get("wrap"):
        config = {"model_type": "clip", "vision_config": config, "text_config": {"hidden_size": 512}}
    return json.dumps(config, indent=1, sort_keys=True, default=str) + "\n"


def save_weights(folder, tensors, shards):
    if shards == 1:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return
    weight_map = {}
    for s in range(shards):
        file = f"model-{s + 1:05d}-of-{shards:05d}.safetensors"
        part = {k: v for i, (k, v) in enumerate(sorted(tensors.items())) if i % shards == s}
        save_file(part, folder / file, metadata={"format": "pt"})
        weight_map.update({name: file for name in part})
    index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")


def unstacked(name, tensor):
    """By the names of our parameters: what transformers has as one tensor may be several of them."""
    for whole, parts in (("weights_in", ("gate", "up")), ("attn.qkv", ("q", "k", "v"))):
        if f".{whole}." in name:
            shares = tensor.chunk(len(parts))
            return {name.replace(whole, f"{whole}.{part}"): share for part, share in zip(parts, shares)}
    return {name: tensor}


def make(case):
    family, options, script = CASES[case]
    base, build, run = FAMILIES[family]
    torch.manual_seed(zlib.crc32(case.encode()))
    model, names = build({**base, **options})
    dtype = script.get("dtype", torch.float32)
    randomize(model, dtype)
    model.eval()
    folder = ROOT / case
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(config_json(model, script))
    prefix = script.get("prefix")
    on_disk = {}
    for name, p in names.items():
        stem = name.removeprefix("vision_model.")
        on_disk[name if prefix is None else prefix + stem] = p.detach().to(dtype).contiguous()
    save_weights(folder, on_disk, script.get("shards", 1))
    golden = {}
    run(model, golden)
    for name, p in names.items():
        if p.grad is not None:
            golden.update({f"grad.{own}": grad for own, grad in unstacked(name, p.grad).items()})
    save_file({k: v.contiguous().clone() for k, v in golden.items()}, folder / "golden.safetensors")


if __name__ == "__main__":
    for name in sys.argv[1:] or CASES:
        make(name)
        print(name)
