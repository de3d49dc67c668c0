"""The benchmark's model in Hugging Face transformers, eager: CLIPVisionModel, a projector of two linear layers and
LlamaForCausalLM, as a careful user trains them on a CPU (scaled dot-product attention, AdamW's fused kernel, no
attention mask where nothing is padding). All its data is prepared before the first step; nothing is loaded in between.

    hf_baseline.py init CONFIG.json       writes the model, with random weights, to <folder>/model
    hf_baseline.py train CONFIG.json      trains it and prints one line a step: step, loss, gradient norm

CONFIG.json is what bench-cpu writes for each run: the folder, the model's sizes, the batch, the optimizer."""

import json
import os
import struct
import sys
import zlib
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402
from torch import nn  # noqa: E402
from transformers import CLIPVisionConfig, CLIPVisionModel, LlamaConfig, LlamaForCausalLM  # noqa: E402

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


class Model(nn.Module):
    def __init__(self, folder, vision):
        super().__init__()
        self.llm = LlamaForCausalLM.from_pretrained(folder / "llm", attn_implementation="sdpa")
        self.vision = None
        if vision:
            self.vision = CLIPVisionModel.from_pretrained(folder / "vision", attn_implementation="sdpa")
            self.projector = make_projector(self.vision.config.hidden_size, self.llm.config.hidden_size)
            weights = load_file(folder / "vision" / "projector.safetensors")
            for layer, name in ((self.projector[0], "in_proj"), (self.projector[2], "out_proj")):
                layer.load_state_dict({k: weights[f"projector.{name}.{k}"] for k in ("weight", "bias")})

    def forward(self, ids, labels, pixels, targets):
        """The sum of the microbatch's losses over `targets`, the target tokens of the whole batch."""
        embeddings = self.llm.get_input_embeddings()(ids.clamp(min=0))
        if self.vision is not None:
            features = self.projector(self.vision(pixels).last_hidden_state[:, 1:])
            embeddings = embeddings.masked_scatter((ids < 0).unsqueeze(-1), features)
        return self.llm(inputs_embeds=embeddings, labels=labels, num_items_in_batch=targets, use_cache=False).loss


def make_projector(hidden, out):
    return nn.Sequential(nn.Linear(hidden, out), nn.GELU(), nn.Linear(out, out))


def init(config):
    torch.manual_seed(3)
    folder = Path(config["folder"]) / "model"
    LlamaForCausalLM(LlamaConfig(**config["llm"])).save_pretrained(folder / "llm")
    CLIPVisionModel(CLIPVisionConfig(**config["vision"])).save_pretrained(folder / "vision")
    projector = make_projector(config["vision"]["hidden_size"], config["llm"]["hidden_size"])
    names = {"0": "in_proj", "2": "out_proj"}
    state = {
        f"projector.{names[key[0]]}.{key[2:]}": value.contiguous() for key, value in projector.state_dict().items()
    }
    save_file(state, folder / "vision" / "projector.safetensors", metadata={"format": "pt"})


def read_png(path):
    """The kind that data.py writes: one IDAT chunk, RGB, rows unfiltered."""
    data = path.read_bytes()
    width, height = struct.unpack(">II", data[16:24])
    start = data.index(b"IDAT")
    rows = zlib.decompress(data[start + 4 : start + 4 + struct.unpack(">I", data[start - 4 : start])[0]])
    pixels = torch.frombuffer(bytearray(rows), dtype=torch.uint8).view(height, 1 + 3 * width)[:, 1:]
    pixels = pixels.reshape(height, width, 3).permute(2, 0, 1).float() / 255
    return (pixels - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def encode(tokenizer, sample, features):
    """ids and labels: the placeholder is -1 for each feature, learnt are the answer and the end."""
    human, gpt = (turn["value"] for turn in sample["conversations"])
    image = human.startswith("<image>")
    prompt = [-1] * features if image else []
    prompt += tokenizer.encode(human.removeprefix("<image>") + "\n").ids
    answer = tokenizer.encode(gpt).ids + [tokenizer.token_to_id("</s>")]
    return torch.tensor(prompt + answer), torch.tensor([-100] * len(prompt) + answer)


def read_data(config):
    folder = Path(config["folder"])
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    samples = [json.loads(line) for line in (folder / config["data"]).read_text().splitlines()]
    features = (config["vision"]["image_size"] // config["vision"]["patch_size"]) ** 2
    rows = [encode(tokenizer, sample, features) for sample in samples]
    pixels = torch.stack([read_png(folder / s["image"]) for s in samples]) if "image" in samples[0] else None
    ids, labels = (torch.stack(column) for column in zip(*rows))
    assert ids.shape[1] == config["sequence_length"], f"{ids.shape[1]} tokens"
    return ids, labels, pixels


def batches(config, data):
    """The microbatches of each step, in the order of the file, again and again."""
    ids, labels, pixels = data
    size, count = config["microbatch_size"], config["num_microbatches"]
    at = 0
    while True:
        step = []
        for _ in range(count):
            rows = torch.arange(at, at + size) % len(ids)
            step.append((ids[rows], labels[rows], None if pixels is None else pixels[rows]))
            at += size
        yield step


def train(config):
    torch.set_num_threads(config["threads"])
    data = read_data(config)
    model = Model(Path(config["folder"]) / "model", vision=data[2] is not None).train()
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": config["weight_decay"]},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=config["lr"], betas=(0.9, 0.95), eps=1e-8, fused=True)
    for step, microbatches in zip(range(config["steps"]), batches(config, data)):
        targets = sum(int((labels[:, 1:] != -100).sum()) for _, labels, _ in microbatches)
        total = torch.zeros(())
        for ids, labels, pixels in microbatches:
            loss = model(ids, labels, pixels, targets)
            loss.backward()
            total += loss.detach()
        norm = nn.utils.clip_grad_norm_(parameters, config["grad_clip"])
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        print(f"step {step + 1}/{config['steps']}  loss {total.item():.6f}  grad {norm.item():.5f}", flush=True)


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in ("init", "train"):
        sys.exit(__doc__)
    config = json.loads(Path(sys.argv[2]).read_text())
    (init if sys.argv[1] == "init" else train)(config)


if __name__ == "__main__":
    main()
