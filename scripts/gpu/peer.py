"""peer.py ROWS LENGTH MICROBATCHES

The shape of Llama 3.2 1B as users of Hugging Face train it: transformers' LlamaForCausalLM, all bf16, ATen's attention,
gradients clipped, the fused AdamW. Prints the median step in ms and the GPU's memory at most in GiB, as JSON. Needs
torch and transformers."""

import json
import statistics
import sys
import time

import torch
from transformers import LlamaConfig, LlamaForCausalLM

STEPS, WARM_UP = 8, 3


def main(rows, length, microbatches):
    config = LlamaConfig(
        hidden_size=2048, intermediate_size=8192, num_hidden_layers=16, num_attention_heads=32, num_key_value_heads=8,
        head_dim=64, vocab_size=128256, max_position_embeddings=8192, tie_word_embeddings=True, rope_theta=500000.0,
        attn_implementation="sdpa", use_cache=False)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("cuda"):
        model = LlamaForCausalLM(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    batch = torch.randint(0, config.vocab_size, (microbatches, rows, length), device="cuda")
    times = []
    for _ in range(STEPS):
        begin = time.perf_counter()
        for ids in batch:
            (model(input_ids=ids, labels=ids).loss / microbatches).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - begin)
    free, total = torch.cuda.mem_get_info()
    print(json.dumps({"step_ms": 1e3 * statistics.median(times[WARM_UP:]), "gib": (total - free) / 2**30}))


main(*map(int, sys.argv[1:]))
