"""Hugging Face folders of models as large as real ones, without their bytes: the weights are holes in sparse files."""

import json
import pathlib
import shutil
import struct

SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4}

TINY_CLIP = {"model_type": "clip_vision_model", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
             "num_attention_heads": 4, "image_size": 16, "patch_size": 8}
TINY_LLAMA = {"model_type": "llama", "vocab_size": 400, "hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 2,
              "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128}
LLAMA_8B = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 128256, "hidden_size": 4096,
            "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
            "max_position_embeddings": 131072, "rms_norm_eps": 1e-05, "rope_theta": 500000.0}
CLIP_L_336 = {"model_type": "clip_vision_model", "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
              "num_attention_heads": 16, "image_size": 336, "patch_size": 14}


def llama_tensors(config):
    hidden, mlp, vocab = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    kv = hidden * config["num_key_value_heads"] // config["num_attention_heads"]
    out = {"model.embed_tokens.weight": [vocab, hidden]}
    for layer in range(config["num_hidden_layers"]):
        for name, shape in {"input_layernorm": [hidden], "self_attn.q_proj": [hidden, hidden], "self_attn.k_proj": [kv, hidden],
                            "self_attn.v_proj": [kv, hidden], "self_attn.o_proj": [hidden, hidden],
                            "post_attention_layernorm": [hidden], "mlp.gate_proj": [mlp, hidden],
                            "mlp.up_proj": [mlp, hidden], "mlp.down_proj": [hidden, mlp]}.items():
            out[f"model.layers.{layer}.{name}.weight"] = shape
    out["model.norm.weight"] = [hidden]
    out["lm_head.weight"] = [vocab, hidden]
    return out


def clip_tensors(config):
    hidden, mlp, patch = config["hidden_size"], config["intermediate_size"], config["patch_size"]
    out = {"vision_model.embeddings.class_embedding": [hidden],
           "vision_model.embeddings.patch_embedding.weight": [hidden, 3, patch, patch],
           "vision_model.embeddings.position_embedding.weight": [(config["image_size"] // patch) ** 2 + 1, hidden]}

    def add(name, *shape):
        out[f"vision_model.{name}.weight"], out[f"vision_model.{name}.bias"] = list(shape), [shape[0]]

    for layer in range(config["num_hidden_layers"]):
        for name in ("layer_norm1", "layer_norm2"):
            add(f"encoder.layers.{layer}.{name}", hidden)
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            add(f"encoder.layers.{layer}.self_attn.{name}", hidden, hidden)
        add(f"encoder.layers.{layer}.mlp.fc1", mlp, hidden)
        add(f"encoder.layers.{layer}.mlp.fc2", hidden, mlp)
    add("pre_layrnorm", hidden)
    add("post_layernorm", hidden)
    return out


def write_safetensors(path, tensors, dtype="BF16"):
    header, end = {}, 0
    for name, shape in sorted(tensors.items()):
        begin = end
        size = SIZES[dtype]
        for dim in shape:
            size *= dim
        end += size
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)


def write_model(folder, config, tensors, shards=1, dtype="BF16"):
    folder = pathlib.Path(folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    if shards == 1:
        return write_safetensors(folder / "model.safetensors", tensors, dtype)
    names, weight_map = list(tensors), {}
    for shard in range(shards):
        name = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
        own = names[shard * len(names) // shards:(shard + 1) * len(names) // shards]
        write_safetensors(folder / name, {tensor: tensors[tensor] for tensor in own}, dtype)
        weight_map.update({tensor: name for tensor in own})
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}), encoding="utf-8")
    return None
