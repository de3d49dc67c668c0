"""peer.py [--model 1b|7b|1b-clip|7b-clip] [--parallel ddp|fsdp2|context] [--compile] [--recompute] ROWS LENGTH MICROBATCHES

The shapes of bench-gpu as users of Hugging Face train them: transformers' LlamaForCausalLM (or, behind a frozen CLIP
ViT-L/14 336, LlavaForConditionalGeneration with one picture a row), all bf16, ATen's attention, gradients clipped, the
fused AdamW; on several GPUs as torchrun starts them, with DDP, FSDP2, or torch's context_parallel; --recompute: gradient
checkpointing of every layer. Rank 0 prints the median step in ms and its GPU's memory at most in GiB, as JSON. After a
minute in which no step ended, each rank says where it is. Needs torch and transformers."""

import argparse
import contextlib
import faulthandler
import json
import os
import statistics
import time

import torch
import torch.distributed as dist
from torch.utils.checkpoint import checkpoint
from transformers import CLIPVisionConfig, LlamaConfig, LlamaForCausalLM, LlavaConfig, LlavaForConditionalGeneration
from transformers.modeling_outputs import CausalLMOutput

STEPS, WARM_UP = 10, 4
LONG, LONG_STEPS, LONG_WARM_UP = 65536, 6, 2
SLICES = 16  # of a long row's tokens, for the loss
SILENCE = 60  # seconds without a step until each rank says where it is
PICTURE = 576  # tokens
LLAMA = {
    "1b": {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 32,
           "num_key_value_heads": 8, "head_dim": 64, "vocab_size": 128256, "tie_word_embeddings": True},
    "7b": {"hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32,
           "num_key_value_heads": 32, "vocab_size": 32000, "tie_word_embeddings": False}}
CLIP = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16,
        "image_size": 336, "patch_size": 14, "projection_dim": 768}


def build(name, length):
    """The model on the meta device, and its LLM's layers."""
    llama = LlamaConfig(**LLAMA[name[:2]], max_position_embeddings=max(8192, length), attn_implementation="sdpa",
                        use_cache=False, rope_parameters={"rope_type": "default", "rope_theta": 500000.0})
    with torch.device("meta"):
        if not name.endswith("clip"):
            model = LlamaForCausalLM(llama)
            return model, model.model.layers
        config = LlavaConfig(vision_config=CLIPVisionConfig(**CLIP), text_config=llama, image_token_index=1,
                             image_seq_length=PICTURE, vision_feature_layer=-2,
                             vision_feature_select_strategy="default", attn_implementation="sdpa",
                             tie_word_embeddings=llama.tie_word_embeddings)
        model = LlavaForConditionalGeneration(config)
    model.model.vision_tower.requires_grad_(False)
    return model, model.model.language_model.layers


def fill(model):
    """Memory and values, each rank its own: FSDP2 has cut the parameters by now."""
    model.to_empty(device="cuda")
    model.tie_weights()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.02)
    for module in model.modules():
        for key, buffer in module.named_buffers(recurse=False):
            if "inv_freq" in key:
                size = 2 * buffer.numel()
                exponents = torch.arange(0, size, 2, device="cuda", dtype=torch.float32) / size
                buffer.copy_(1.0 / 500000.0**exponents)
            elif "position_ids" in key:
                buffer.copy_(torch.arange(buffer.numel(), device="cuda").view_as(buffer))
    if dist.is_initialized():
        for parameter in model.parameters():
            if type(parameter.data) is torch.Tensor:
                dist.broadcast(parameter.data, 0)


class SlicedLoss(torch.nn.Module):
    """The mean loss of long rows, its logits a slice of the tokens at a time: all of them would be 17 GB in fp32."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def of(self, hidden, labels):
        return torch.nn.functional.cross_entropy(self.model.lm_head(hidden).float(), labels, reduction="sum")

    def forward(self, input_ids, position_ids, shift_labels):
        hidden = self.model.model(input_ids=input_ids, position_ids=position_ids).last_hidden_state
        slices = zip(hidden.flatten(0, 1).chunk(SLICES), shift_labels.flatten().chunk(SLICES))
        total = sum(checkpoint(self.of, *each, use_reentrant=False) for each in slices)
        return CausalLMOutput(loss=total / shift_labels.numel())


def without_masks():
    """transformers takes a rank's positions, the head and the tail of the row, for two packed samples and makes a mask,
    which context_parallel refuses; on the last rank, which has the middle, it does not: that one would wait for the
    others, which have ended. (accelerate lets it make the mask and drops it.) Layers without one are causal."""
    from transformers.models.llama import modeling_llama
    modeling_llama.create_causal_mask = lambda *_, **__: None


def spread(model, layers, arguments):
    if arguments.parallel == "fsdp2":
        from torch.distributed.fsdp import fully_shard
        for layer in layers:
            if arguments.compile:
                layer.compile()
            fully_shard(layer)
        fully_shard(model)
    fill(model)
    model.train()
    if arguments.recompute:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    if arguments.parallel == "context":
        without_masks()
        model = SlicedLoss(model)
    if arguments.parallel in ("ddp", "context"):
        device = torch.cuda.current_device()
        model = torch.nn.parallel.DistributedDataParallel(model, device_ids=[device], gradient_as_bucket_view=True)
    if arguments.compile and arguments.parallel != "fsdp2":
        model = torch.compile(model)
    return model


def batches(arguments, vocab):
    rows, length = arguments.rows, arguments.length
    for _ in range(arguments.microbatches):
        ids = torch.randint(2, vocab, (rows, length), device="cuda")
        inputs = {"input_ids": ids, "labels": ids.clone()}
        if arguments.model.endswith("clip"):
            ids[:, 1:1 + PICTURE] = 1
            inputs["labels"][:, 1:1 + PICTURE] = -100
            inputs["pixel_values"] = torch.randn(rows, 3, 336, 336, device="cuda", dtype=torch.bfloat16)
        yield inputs


def in_context(batch, mesh):
    """torch's context_parallel over one sample's tokens, of which a rank keeps its share."""
    from torch.distributed.tensor.experimental import context_parallel
    shifted = torch.nn.functional.pad(batch["labels"], (0, 1), value=-100)[:, 1:].contiguous()
    positions = torch.arange(shifted.size(1), device="cuda").repeat(shifted.size(0), 1)
    ours = {"input_ids": batch["input_ids"].clone(), "position_ids": positions, "shift_labels": shifted}
    buffers = list(ours.values())
    return ours, context_parallel(mesh, buffers=buffers, buffer_seq_dims=[1] * len(buffers),
                                  no_restore_buffers=set(buffers))


def main(arguments):
    world = int(os.environ.get("WORLD_SIZE", "1"))
    faulthandler.dump_traceback_later(SILENCE)
    torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    mesh = None
    if world > 1:
        dist.init_process_group("nccl", device_id=torch.device("cuda", torch.cuda.current_device()))
    if arguments.parallel == "context":
        mesh = dist.device_mesh.init_device_mesh("cuda", (world,), mesh_dim_names=("cp",))
    torch.set_default_dtype(torch.bfloat16)
    torch.manual_seed(int(os.environ.get("RANK", "0")))
    model, layers = build(arguments.model, arguments.length)
    vocab = LLAMA[arguments.model[:2]]["vocab_size"]
    model = spread(model, layers, arguments)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, fused=True)
    data = list(batches(arguments, vocab))
    steps, warm_up = (LONG_STEPS, LONG_WARM_UP) if arguments.length >= LONG else (STEPS, WARM_UP)
    times = []
    for _ in range(steps):
        begin = time.perf_counter()
        for batch in data:
            inputs, context = in_context(batch, mesh) if mesh else (batch, contextlib.nullcontext())
            with context:
                loss = model(**inputs).loss
                (loss / len(data)).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - begin)
        faulthandler.dump_traceback_later(SILENCE)  # from here on
    faulthandler.cancel_dump_traceback_later()
    free, total = torch.cuda.mem_get_info()
    if int(os.environ.get("RANK", "0")) == 0:
        step = 1e3 * statistics.median(times[warm_up:])
        print(json.dumps({"step_ms": step, "gib": (total - free) / 2**30, "loss": loss.item()}))
    if world > 1:
        dist.destroy_process_group()


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--model", choices=["1b", "7b", "1b-clip", "7b-clip"], default="1b")
parser.add_argument("--parallel", choices=["none", "ddp", "fsdp2", "context"], default="none")
parser.add_argument("--compile", action="store_true")
parser.add_argument("--recompute", action="store_true")
for name in ("rows", "length", "microbatches"):
    parser.add_argument(name, type=int)
main(parser.parse_args())
