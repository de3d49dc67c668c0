#!/usr/bin/env python3
"""Golden adapters: what Hugging Face's peft trains of a small random Llama.

    python tests/golden/make_adapters.py

Writes tests/golden/adapters/: base/, a model as a user has it; begun/, adapters of which both sides have values, as peft saves
them; train.jsonl; trained/, the same adapters behind 20 steps of AdamW with clipped gradients in fp64, and the loss of each
step. Needs torch 2.11, transformers 5.17 and peft 0.21.
"""
import json
import os
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

ROOT = Path(__file__).resolve().parent / "adapters"
TOKENIZER = Tokenizer.from_file(str(ROOT.parents[2] / "configs" / "example" / "tokenizer.json"))
END = TOKENIZER.token_to_id("</s>")
WORDS = "zero one two three four five six seven eight nine".split()
TALK = [(f"Which digit comes after {a}?", b) for a, b in zip(WORDS, WORDS[1:])]
STEPS, LENGTH, LR = 20, 48, 0.01


def batch():
    """The samples as rows of ids and labels; what follows a row's end is not seen."""
    ids, labels = torch.zeros(len(TALK), LENGTH, dtype=torch.long), torch.full((len(TALK), LENGTH), -100)
    for row, (question, answer) in enumerate(TALK):
        asked = TOKENIZER.encode(question + "\n", add_special_tokens=False).ids
        said = TOKENIZER.encode(answer, add_special_tokens=False).ids + [END]
        ids[row, :len(asked) + len(said)] = torch.tensor(asked + said)
        labels[row, len(asked):len(asked) + len(said)] = torch.tensor(said)
    return ids, labels


def make_base(folder):
    model = LlamaForCausalLM(LlamaConfig(
        hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        vocab_size=400, max_position_embeddings=64, tie_word_embeddings=False, eos_token_id=END, bos_token_id=None))
    for weight in model.parameters():
        if weight.dim() > 1:
            weight.data.normal_(std=0.25)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink()


def save(model, folder):
    model.save_pretrained(folder)
    (folder / "README.md").unlink()
    config = json.loads((folder / "adapter_config.json").read_text())
    config["target_modules"].sort()  # peft has a set
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")


def adapted(base):
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), LoraConfig(
        r=4, lora_alpha=12, target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
        task_type="CAUSAL_LM"))
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            weight.data.normal_(std=0.1)
    return model


def train(model):
    ids, labels = batch()
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=LR, betas=(0.9, 0.95), eps=1e-8, weight_decay=0)
    losses = []
    for _ in range(STEPS):
        loss = model(input_ids=ids, labels=labels).loss
        losses.append(loss.item())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
    return losses


def main():
    torch.manual_seed(0)
    os.chdir(ROOT)  # what is written names the base as it is given
    base = Path("base")
    make_base(base)
    lines = [json.dumps({"conversations": [{"from": "human", "value": q}, {"from": "gpt", "value": a}]}) for q, a in TALK]
    Path("train.jsonl").write_text("\n".join(lines) + "\n")
    model = adapted(base)
    save(model, Path("begun"))
    model.double()
    losses = train(model)
    save(model, Path("trained"))
    Path("trained/losses.json").write_text(json.dumps(losses, indent=1) + "\n")
    print(f"loss {losses[0]:.4f} to {losses[-1]:.4f}")


if __name__ == "__main__":
    main()
