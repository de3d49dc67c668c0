"""floor.py ROWS LENGTH CONFIG

The least time that a training step of a Llama takes on this GPU in bf16 with fp32 masters, however it is programmed: its
matrix products one by one at the rate that cuBLAS reaches here, attention by the faster of cuDNN's and flash-attention's
kernels, and what else must be read and written at the rate of a plain copy. Every pass is counted once, as if fused with
all that it could be; nothing is launched, waited for or recomputed. CONFIG: the model's config.json, as JSON. Prints
the milliseconds of the step and of its parts, as JSON. Needs torch."""

import json
import statistics
import sys

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

TIMES, WARM_UP = 10, 3
BF16, FP32 = 2, 4  # bytes


def milliseconds(work):
    """The median of what the GPU takes for it."""
    marks = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(TIMES + WARM_UP)]
    for begin, end in marks:
        begin.record()
        work()
        end.record()
    torch.cuda.synchronize()
    return statistics.median(begin.elapsed_time(end) for begin, end in marks[WARM_UP:])


def normal(*shape):
    return torch.randn(shape, dtype=torch.bfloat16, device="cuda")


def products(tokens, inputs, outputs):
    """Forward, gradient of the input, gradient of the weight."""
    x, w, y = normal(tokens, inputs), normal(outputs, inputs), normal(tokens, outputs)
    dx, dw = torch.empty_like(x), torch.empty_like(w)
    return (milliseconds(lambda: torch.mm(x, w.t(), out=y)) + milliseconds(lambda: torch.mm(y, w, out=dx)) +
            milliseconds(lambda: torch.mm(y.t(), x, out=dw)))


def attention(rows, length, heads, kv_heads, size):
    """Forward and backward of one layer; cuDNN's and flash-attention's kernels take fewer heads of keys as they are."""
    q = normal(rows, heads, length, size).requires_grad_()
    k, v = (normal(rows, kv_heads, length, size).requires_grad_() for _ in range(2))
    gradient = normal(rows, heads, length, size)
    taken = []
    for backend in (SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION):
        with sdpa_kernel(backend):
            def forward():
                return scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
            try:
                out = forward()
            except RuntimeError as refused:  # what this build of torch or this head size has not
                print(f"{backend.name}: {str(refused).splitlines()[0]}", file=sys.stderr)
                continue
            backward = milliseconds(lambda: torch.autograd.grad(out, (q, k, v), gradient, retain_graph=True))
            with torch.no_grad():
                taken.append(milliseconds(forward) + backward)
    return min(taken)


def bandwidth():
    """Bytes a millisecond, read and written together."""
    source = torch.empty(1 << 30, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    return 2 * source.numel() / milliseconds(lambda: target.copy_(source))


def passes_of_a_layer(hidden, inner, turned):
    """Bytes for each token besides the products' and attention's own."""
    norms = 2 * (4 + 4) * hidden  # each with the sum before it: reads 2, writes 2; so does its gradient
    gate = (3 + 5) * inner  # of gate and up one; of both and its gradient, two gradients
    rope = 2 * 2 * turned
    return BF16 * (norms + gate + rope)


def main():
    rows, length, config = int(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
    hidden, inner, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    heads, vocab = config["num_attention_heads"], config["vocab_size"]
    kv_heads, size = config.get("num_key_value_heads", heads), config.get("head_dim", hidden // heads)
    tokens = rows * length
    shapes = [(hidden, heads * size), (hidden, kv_heads * size), (hidden, kv_heads * size), (heads * size, hidden),
              (hidden, inner), (hidden, inner), (inner, hidden)]
    rate = bandwidth()
    weights = layers * sum(a * b for a, b in shapes) + hidden * vocab * (1 if config.get("tie_word_embeddings") else 2)
    # AdamW reads and writes master and moments, reads the gradient and writes the value; the norm reads the gradient.
    update = weights * (7 * FP32 + BF16 + FP32)
    logits = 3 * tokens * vocab * BF16  # read for the sum, read for the gradient, which is written
    embedding = 2 * tokens * hidden * BF16
    parts = {
        "products": layers * sum(products(tokens, *shape) for shape in shapes),
        "head": products(tokens, hidden, vocab),
        "attention": layers * attention(rows, length, heads, kv_heads, size),
        "passes": (layers * tokens * passes_of_a_layer(hidden, inner, (heads + kv_heads) * size) + logits + embedding) / rate,
        "update": update / rate,
    }
    print(json.dumps({"step_ms": sum(parts.values()), "gib": torch.cuda.max_memory_allocated() / 2**30, "parts": parts,
                      "gb_per_s": rate / 1e6}))


main()
