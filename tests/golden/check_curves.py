#!/usr/bin/env python3
"""Trains small whole checkpoints with transformers and with cornstarch-train, and asks what both have learnt.

    python tests/golden/check_curves.py build/release [llava|qwen2_vl|gemma3 ...]

Of each (make_wholes.py's shapes, every weight trains, eight pictures):
curve    20 steps from the same weights over the same batches, AdamW, clipping and schedule: losses and the final
         parameters, in fp32 within 1e-5 and in fp64 within 1e-9 of their size.
answers  trained on until answers depend on the picture, exported, imported, trained for three steps in each of four
         layouts and exported again: to every picture the same 64 tokens as transformers' generate, and each token's logits
         within 1e-4 of the largest.

transformers rounds to fp32 in norms and softmax whatever a model's type: for fp64 it is told not to. Rotary angles stay
in fp32, as ours. Needs torch 2.11 and transformers 5.17, and of the build bin/cornstarch-train and tests/answer_logits.
"""
import contextlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import numpy
import torch
import torch.nn.functional as F
import transformers
from PIL import Image
from safetensors.torch import load_file

from check_wholes import load
from make_models import randomize, save_weights
from make_wholes import CASES, END, IMAGE, TOKENIZER, config_json, row

EXAMPLE = Path(__file__).resolve().parents[2] / "configs" / "example"
WORDS = "zero one two three four five six seven eight nine".split()
QUESTION = "<image>\nHow does it count?"
SAMPLES, BATCH, LENGTH = 8, 4, 120
STEPS, WARMUP, LR, DECAY, BETAS, EPS = 20, 4, 1e-3, 0.1, (0.9, 0.95), 1e-6
LEARNT, TOKENS = 600, 64  # steps until answers depend on pictures; of an answer
BOUNDS = {"fp32": 1e-5, "fp64": 1e-9}
LAYOUTS = {"single": (1, []), "dp": (2, ["batch.num_microbatches=1"]), "separate": (2, ["layout=separate"]),
           "tp": (4, ["layout=separate", "model.encoders.vision.parallel.tp=2", "model.llm.parallel.tp=2"])}
WIDER = {"llava": dict(hidden_size=64, intermediate_size=96), "qwen2_vl": {}, "gemma3": dict(hidden_size=64, intermediate_size=96, head_dim=16)}


def answer(i):
    """Counts from i in steps of its own."""
    return " ".join(WORDS[(i + k * (1 + i % 4)) % 10] for k in range(TOKENS + 3))


def options_of(case):
    """The golden case's, wide enough to learn by heart."""
    options = json.loads(json.dumps(CASES[case][1]))
    options["text_config"].update(WIDER[case])
    return options


def make_checkpoint(folder, case):
    config_class, _, model_class, names, _, files, preprocessor, sizes = CASES[case]
    torch.manual_seed(zlib.crc32(case.encode()))
    model = model_class._from_config(config_class(**options_of(case)), attn_implementation="eager")
    randomize(model, torch.float32)
    folder.mkdir()
    (folder / "config.json").write_text(config_json(case + "-", model, torch.float32))
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(EXAMPLE / name, folder)
    save_weights(folder, {names(name): p.detach().contiguous() for name, p in model.named_parameters()}, files)
    noise = numpy.random.default_rng(7)
    lines = []
    for i in range(SAMPLES):
        height, width = sizes[i % len(sizes)]
        Image.fromarray(noise.integers(0, 256, (height, width, 3), dtype=numpy.uint8)).save(folder / f"{i}.png")
        lines.append({"image": f"{i}.png", "conversations": [{"from": "human", "value": QUESTION}, {"from": "gpt", "value": answer(i)}]})
    (folder / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


# --- transformers

@contextlib.contextmanager
def wide(model, dtype):
    """Computes in fp64 what a model of that type rounds to fp32, but for rotary angles."""
    narrow, to_narrow = torch.float32, torch.Tensor.float

    def switch(on):
        torch.float32, torch.Tensor.float = (torch.float64, torch.Tensor.double) if on else (narrow, to_narrow)

    rotary = [m for m in model.modules() if "Rotary" in type(m).__name__]
    hooks = [m.register_forward_pre_hook(lambda *_: switch(False)) for m in rotary]
    hooks += [m.register_forward_hook(lambda *_: switch(True)) for m in rotary]
    if dtype == torch.float64:
        switch(True)
    else:
        [hook.remove() for hook in hooks]
    try:
        yield
    finally:
        switch(False)
        [hook.remove() for hook in hooks]


def samples_of(folder, case, model):
    """Of each picture what the model takes, but for ids; and the question's ids and labels with the answer's."""
    said = json.loads((folder / "preprocessor_config.json").read_text())
    processor = getattr(transformers, said.pop("image_processor_type") + "Pil")(**said)
    out = []
    for i in range(SAMPLES):
        media = dict(processor(Image.open(folder / f"{i}.png"), return_tensors="pt"))
        media["pixel_values"] = media["pixel_values"].to(model.dtype)
        media.pop("num_crops", None)
        grid = media.get("image_grid_thw")
        features = int(grid.prod()) // 4 if grid is not None else model.config.mm_tokens_per_image if case == "gemma3" else 4
        ids, labels = row((QUESTION, answer(i)), features)
        out.append((media, torch.tensor([ids]), torch.tensor([labels])))
    return out


def logits_of(model, media, ids):
    kinds = (ids == IMAGE).long()
    more = {"qwen2_vl": {"mm_token_type_ids": kinds}, "gemma3": {"token_type_ids": kinds}}.get(model.config.model_type, {})
    return model(input_ids=ids, **media, **more).logits


def doubled(model):
    """Weights only: what rotary angles are made of stays."""
    for p in model.parameters():
        p.data = p.data.double()
    return model


def open_model(folder, dtype):
    model = load(folder)
    return doubled(model) if dtype == torch.float64 else model


def train_there(folder, case, dtype):
    model = open_model(folder, dtype).train()
    samples = samples_of(folder, case, model)
    named = [p for _, p in model.named_parameters()]
    optimizer = torch.optim.AdamW([{"params": [p for p in named if p.dim() > 1], "weight_decay": DECAY},
                                   {"params": [p for p in named if p.dim() < 2], "weight_decay": 0}], lr=LR, betas=BETAS, eps=EPS)
    schedule = transformers.get_cosine_schedule_with_warmup(optimizer, WARMUP, STEPS)
    losses = []
    with wide(model, dtype):
        for step in range(STEPS):
            batch = [samples[(step * BATCH + i) % SAMPLES] for i in range(BATCH)]
            targets = sum(int((labels[:, 1:] >= 0).sum()) for _, _, labels in batch)
            loss = sum(F.cross_entropy(logits_of(model, media, ids)[0, :-1], labels[0, 1:], reduction="sum")
                       for media, ids, labels in batch) / targets
            losses.append(loss.item())
            loss.backward()
            torch.nn.utils.clip_grad_norm_(named, 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    return losses, dict(model.named_parameters())


# --- cornstarch-train

class Here:
    def __init__(self, build, folder):
        self.program, self.answer_logits, self.folder = build / "bin" / "cornstarch-train", build / "tests" / "answer_logits", folder

    def run(self, *words):
        done = subprocess.run(list(map(str, words)), capture_output=True, text=True, cwd=self.folder)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def imported(self, checkpoint, name, data):
        self.run(self.program, "import", "--hf", checkpoint, "--out", name, "--data", data / "train.jsonl")
        config = self.folder / name / "run.yaml"
        config.write_text(re.sub(r"chat_template: \w+", "chat_template: plain", config.read_text()))  # as make_wholes.row
        return config

    def train(self, config, name, *sets, ranks=1):
        common = ["data.chat_template=plain", "data.shuffle=false", "batch.microbatch_size=2", f"batch.sequence_length={LENGTH}",
                  f"run_dir={name}", "export_dtype=same"]
        if "num_microbatches" not in " ".join(sets):
            common.append("batch.num_microbatches=2")
        self.run(self.program, "train", "--config", config, "--local-ranks", ranks, *(w for s in (*common, *sets) for w in ("--set", s)))
        lines = map(json.loads, (self.folder / name / "metrics.jsonl").read_text().splitlines())
        self.run(self.program, "export", "--run", name, "--out", f"{name}-exported")
        return [line["loss"] for line in lines if "loss" in line], self.folder / f"{name}-exported"

    def said(self, config, questions, out):
        self.run(self.answer_logits, config, questions, TOKENS, out)
        return load_file(self.folder / out)

    def answers(self, checkpoint, questions):
        lines = self.run(self.program, "generate", "--model", checkpoint, "--chat-template", "plain", "--questions", questions,
                         "--max-tokens", TOKENS).splitlines()
        return [json.loads(line)["answer"] for line in lines]


def everything(case):
    return ["model.encoders.vision.train_only=null"] if case == "qwen2_vl" else ["model.encoders.vision.train.encoder=true"]


def apart(got, expected):
    return ((got.double() - expected.double()).abs().max() / expected.double().abs().max()).item()


def check_curve(here, checkpoint, config, case, precision):
    dtype = {"fp32": torch.float32, "fp64": torch.float64}[precision]
    losses, parameters = train_there(checkpoint, case, dtype)
    own, exported = here.train(
        config, f"{case}-{precision}", *everything(case), f"precision={precision}", f"steps={STEPS}",
        f"optimizer={{type: adamw, lr: {LR}, weight_decay: {DECAY}, betas: {list(BETAS)}, eps: {EPS}, grad_clip: 1.0}}",
        f"lr_schedule={{type: cosine, warmup_steps: {WARMUP}}}")
    model = load(exported, dtype)
    loss = max(abs(mine - theirs) / theirs for mine, theirs in zip(own, losses, strict=True))
    # Softmax does not see a bias of all keys: its gradient is rounding alone, which AdamW makes as large as any other.
    errors = {name: apart(p, parameters[name]) for name, p in model.named_parameters()
              if precision == "fp64" or not name.endswith("k_proj.bias")}
    worst = max(errors, key=errors.get)
    print(f"{case}, {precision}: loss {losses[0]:.4f} to {losses[-1]:.4f}, within {loss:.1e}; parameters within {errors[worst]:.1e} ({worst})", flush=True)
    return loss <= BOUNDS[precision] and errors[worst] <= BOUNDS[precision]


def check_answers(here, checkpoint, config, case):
    _, learnt = here.train(config, f"{case}-learnt", *everything(case), "precision=fp32", f"steps={LEARNT}", "batch.num_microbatches=4",
                           "optimizer={type: adamw, lr: 3.0e-3}", "lr_schedule={type: cosine, warmup_steps: 20}")
    begun = here.imported(learnt, f"{case}-again", checkpoint)
    sound = True
    for name, (ranks, sets) in LAYOUTS.items():
        _, exported = here.train(begun, f"{case}-{name}", *everything(case), *sets, "precision=fp32", "steps=3", "optimizer.lr=1.0e-4",
                                 "lr_schedule.warmup_steps=0", ranks=ranks)
        asked = here.imported(exported, f"{case}-{name}-asked", checkpoint)
        said = here.said(asked, checkpoint / "train.jsonl", f"{case}-{name}.safetensors")
        sound &= check_said(exported, checkpoint, case, name, said, here.answers(exported, checkpoint / "train.jsonl"))
    return sound


def check_said(exported, checkpoint, case, layout, said, words):
    model = open_model(exported, torch.float64)
    samples = samples_of(checkpoint, case, model)
    error, alike, answers, right = 0, True, set(), 0
    with torch.no_grad(), wide(model, torch.float64):
        for i, (media, ids, labels) in enumerate(samples):
            asked = ids[:, :int((labels[0] < 0).sum())]
            assert torch.equal(torch.where(said[f"ids.{i}"] < 0, IMAGE, said[f"ids.{i}"]), asked[0]), f"prompt {i}"
            kinds = (asked == IMAGE).long()
            more = {"qwen2_vl": {"mm_token_type_ids": kinds}, "gemma3": {"token_type_ids": kinds}}.get(case, {})
            out = model.generate(input_ids=asked, attention_mask=torch.ones_like(asked), **media, **more, do_sample=False,
                                 max_new_tokens=TOKENS, eos_token_id=None, pad_token_id=0)[0, asked.shape[1]:]
            own = said[f"said.{i}"]
            until = out.tolist()[:out.tolist().index(END)] if END in out else out.tolist()
            alike &= torch.equal(own, out) and words[i] == TOKENIZER.decode(until).strip()
            answers.add(tuple(own.tolist()))
            right += own.tolist() == labels[0][labels[0] >= 0].tolist()[:TOKENS]
            whole = logits_of(model, media, torch.cat([asked, own[None]], 1))[0, asked.shape[1] - 1:-1]
            error = max(error, apart(said[f"logits.{i}"], whole))
    print(f"{case}, {layout}: {len(answers)} answers to {SAMPLES} pictures, {right} of them right; "
          f"{'the same' if alike else 'OTHER'} {TOKENS} tokens, logits within {error:.1e}", flush=True)
    return alike and error <= 1e-4 and len(answers) == SAMPLES


def main(build, cases):
    sound = True
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        here = Here(build, folder)
        for case in cases:
            checkpoint = folder / case
            make_checkpoint(checkpoint, case)
            config = here.imported(checkpoint, f"{case}-begun", checkpoint)
            for precision in BOUNDS:
                sound &= check_curve(here, checkpoint, config, case, precision)
            sound &= check_answers(here, checkpoint, config, case)
    return 0 if sound else 1


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    sys.exit(main(Path(sys.argv[1]).resolve(), sys.argv[2:] or list(WIDER)))
