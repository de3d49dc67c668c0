#!/usr/bin/env python3
"""Trains adapters here and with Hugging Face's peft, from the same folders and the same samples, and compares.

    python tests/golden/check_adapters.py build/release/bin/cornstarch-train

20 steps of AdamW with clipped gradients in fp64, on one rank and over tp 2: each step's loss, then peft loads what the run wrote
and gives the logits of the model that it trained itself; so does transformers with `merge: true`. Needs torch, transformers
and peft (5.17 and 0.21 were tried); training needs none of them."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

TOKENIZER = Path(__file__).parents[2] / "configs" / "example" / "tokenizer.json"
WORDS = "zero one two three four five six seven eight nine".split()
TALK = [(f"Which digit comes after {a}?", b) for a, b in zip(WORDS, WORDS[1:])]
STEPS, LENGTH, LR = 20, 48, 0.01
TOLERANCE = 1e-4  # transformers has norms and rotary angles in fp32, whatever the model's type


def batch(tokenizer):
    """The samples as rows of ids and labels; what follows a row's end is not seen."""
    ids, labels = torch.zeros(len(TALK), LENGTH, dtype=torch.long), torch.full((len(TALK), LENGTH), -100)
    for row, (question, answer) in enumerate(TALK):
        asked = tokenizer.encode(question + "\n", add_special_tokens=False).ids
        said = tokenizer.encode(answer, add_special_tokens=False).ids + [END]
        ids[row, :len(asked) + len(said)] = torch.tensor(asked + said)
        labels[row, len(asked):len(asked) + len(said)] = torch.tensor(said)
    return ids, labels


def make_base(folder):
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(
        hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        vocab_size=400, max_position_embeddings=64, tie_word_embeddings=False, eos_token_id=END, bos_token_id=None))
    for weight in model.parameters():
        if weight.dim() > 1:
            weight.data.normal_(std=0.15)
    model.save_pretrained(folder)


def adapted(base, folder):
    """Adapters of which both sides have values."""
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), LoraConfig(
        r=4, lora_alpha=12, target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
        task_type="CAUSAL_LM"))
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            weight.data.normal_(std=0.1)
    model.save_pretrained(folder)
    return model.double()


def train_there(model, ids, labels):
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


def train_here(program, folder, tp, merge):
    """The losses; the model lies under the returned folder."""
    run = folder / f"run-{tp}-{merge}"
    config = {
        "model": {"llm": {
            "family": "llama", "pretrained": str(folder / "base"), "parallel": {"tp": tp, "stages": [[
                "model.embed_tokens", "model.layers.0..1", "model.norm", "lm_head"]]},
            "lora": {"rank": 4, "alpha": 12, "targets": ["all-linear"], "pretrained": str(folder / "adapters"),
                     "merge": merge}}},
        "batch": {"microbatch_size": 3, "global_size": len(TALK), "sequence_length": LENGTH},
        "data": {"train": [{"path": str(folder / "train.jsonl")}], "tokenizer": str(TOKENIZER)},
        "optimizer": {"lr": LR, "weight_decay": 0}, "lr_schedule": {"type": "constant", "warmup_steps": 0},
        "precision": "fp64", "steps": STEPS, "run_dir": str(run)}
    (folder / "run.yaml").write_text(json.dumps(config))
    done = subprocess.run([program, "--config", folder / "run.yaml", "--local-ranks", str(tp)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    records = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [r["loss"] for r in records if "loss" in r], run / "model" / "llm"


def furthest(ours, theirs):
    return max(abs(a - b) / abs(b) for a, b in zip(ours, theirs, strict=True))


def main(program):
    tokenizer = Tokenizer.from_file(str(TOKENIZER))
    ids, labels = batch(tokenizer)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        lines = [json.dumps({"conversations": [{"from": "human", "value": q}, {"from": "gpt", "value": a}]}) for q, a in TALK]
        (folder / "train.jsonl").write_text("\n".join(lines) + "\n")
        make_base(folder / "base")
        model = adapted(folder / "base", folder / "adapters")
        expected = train_there(model, ids, labels)
        logits = model(input_ids=ids).logits.detach()
        print(f"peft: loss {expected[0]:.4f} to {expected[-1]:.4f}")
        assert expected[-1] < 0.8 * expected[0]
        for tp, merge in ((1, False), (2, False), (1, True)):
            losses, written = train_here(program, folder, tp, merge)
            if merge:
                loaded, info = AutoModelForCausalLM.from_pretrained(written, output_loading_info=True, dtype=torch.float64)
                assert not any(info.values()), info
            else:
                loaded = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(folder / "base", dtype=torch.float64), written)
            apart = ((loaded(input_ids=ids).logits - logits).abs().max() / logits.abs().max()).item()
            print(f"tp {tp}, merge {merge}: losses within {furthest(losses, expected):.1e}, logits {apart:.1e}")
            assert furthest(losses, expected) <= TOLERANCE and apart <= TOLERANCE


END = Tokenizer.from_file(str(TOKENIZER)).token_to_id("</s>")
main(Path(sys.argv[1]).resolve())
