#!/usr/bin/env python3
"""quality.py [--kit FOLDER] [--steps N] [--seeds N] [--limit SECONDS] [--tiny]

What the rounding of `precision: fp8` costs an LLM of 100 million parameters: it learns documentation and sources that
this machine has, each text once, in bf16 and in fp8 with the same seeds, which draw the weights and the order of the
texts; a run on each GPU at a time. A row says a run's mean loss over its last 50 steps, how far that is from bf16's of
the same seed, the loss on rows that no run has learnt from, and the median step. At the end: whether all differences are
within twice the spread of bf16's seeds; exit status 1 if they are not, or if a run failed. Needs torch and tokenizers.

  --steps N    of 16 rows of 1024 tokens (default 1000)
  --seeds N    runs of each precision (default 3)
  --limit S    runs that have not ended S seconds after the start are ended (default 480)
  --keep DIR   keeps texts, tokenizer, config and the runs' metrics there
  --tiny       a tiny model on the CPU: tries the script itself"""

import argparse
import hashlib
import json
import os
import queue
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from kit import environment, probe, why  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent.parent
PLACES = (sysconfig.get_paths()["purelib"], sysconfig.get_paths()["stdlib"], "/usr/lib/python3", "/usr/include",
          "/usr/local/cuda/include", "/usr/share/doc", "/usr/share/perl")
ENDINGS = (".py", ".pyi", ".md", ".rst", ".txt", ".h", ".hpp", ".c", ".cpp", ".cu", ".cuh", ".pl", ".pm", ".pod")
SMALLEST, LARGEST = 1_000, 400_000  # bytes of a file; larger ones are mostly tables
LONGEST_LINE = 2_000
BLOCK = 1_000_000  # letters that are tokenised at once
LAST = 50  # steps whose losses are averaged
EVAL_ROWS = 256

SIZES = {"width": 768, "inner": 2048, "layers": 12, "heads": 12, "vocab": 16384, "row": 1024, "rows": 16,
         "device": "cuda", "warm_up": 100}
TINY = {"width": 64, "inner": 192, "layers": 2, "heads": 2, "vocab": 1024, "row": 64, "rows": 4, "device": "cpu",
        "warm_up": 5}

CONFIG = """\
model:
  llm:
    family: llama
    config: {{hidden_size: {width}, intermediate_size: {inner}, num_hidden_layers: {layers},
             num_attention_heads: {heads}, num_key_value_heads: {heads}, vocab_size: {vocab},
             max_position_embeddings: {row}, tie_word_embeddings: true, initializer_range: 0.02}}
layout: single
device: {device}
batch: {{microbatch_size: {rows}, global_size: {rows}, sequence_length: {row}}}
data:
  train: [{{path: train.jsonl}}]
  eval: [{{path: eval.jsonl}}]
  tokenizer: tokenizer.json
  on_bad_sample: skip
optimizer: {{type: adamw, lr: 6.0e-4, betas: [0.9, 0.95], weight_decay: 0.1, grad_clip: 1.0}}
lr_schedule: {{type: cosine, warmup_steps: {warm_up}, min_lr_ratio: 0.1}}
eval: {{max_samples: {eval_rows}}}
log: {{level: warning}}
steps: {steps}
"""


def files():
    """All texts that are there, in an order that mixes their places and is the same on machines that have the same."""
    found = set()
    for place in PLACES:
        for folder, _, names in os.walk(place):
            found.update(os.path.join(folder, name) for name in names if name.endswith(ENDINGS))
    return sorted(found, key=lambda path: hashlib.sha256(path.encode()).digest())


def texts(most):
    """Texts of `most` bytes or little more, each once: no file of whose lines more than a third stood in one before."""
    seen, size = set(), 0
    for path in files():
        try:
            content = Path(path).read_bytes()
        except OSError:
            continue
        if not SMALLEST <= len(content) <= LARGEST or b"\0" in content:
            continue
        lines = {hash(line.strip()) for line in content.splitlines() if len(line.strip()) > 20}
        if len(lines & seen) * 3 > len(lines) or max(map(len, content.splitlines())) > LONGEST_LINE:
            continue
        try:
            text = content.decode()
        except UnicodeDecodeError:
            continue
        seen |= lines
        yield text
        size += len(content)
        if size > most:
            return


def blocks_of(pieces):
    """The texts one behind the other, about BLOCK letters each time."""
    block = []
    for text in pieces:
        block.append(text)
        if sum(map(len, block)) >= BLOCK:
            yield "\n".join(block)
            block = []
    if block:
        yield "\n".join(block)


def train_tokenizer(blocks, vocab, path):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(blocks, trainers.BpeTrainer(
        vocab_size=vocab, special_tokens=["<pad>", "</s>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.save(str(path))
    return tokenizer


def rows_of(encoding, text, length):
    """Stretches of `text` of `length` tokens or hardly less: cut between words, so that each alone has the same tokens."""
    words, offsets = encoding.word_ids, encoding.offsets
    begin = 0
    while begin + length < len(words):
        end = begin + length
        while end > begin and words[end] == words[end - 1]:
            end -= 1
        if end == begin:
            return  # a word that fills a row
        yield text[offsets[begin][0]:offsets[end][0]]
        begin = end


def prepare(folder, sizes, steps):
    """Texts, tokenizer and config as users would write them; says what there is."""
    begin = time.monotonic()
    wanted = steps * sizes["rows"] + EVAL_ROWS
    most = wanted * sizes["row"] * 4  # bytes: a token is hardly less than 3.4
    blocks = list(blocks_of(texts(most)))
    read = time.monotonic()
    tokenizer = train_tokenizer(blocks[::4], sizes["vocab"], folder / "tokenizer.json")
    (folder / "tokenizer_config.json").write_text('{"bos_token": null, "eos_token": "</s>", "pad_token": "<pad>"}')
    learnt = time.monotonic()
    rows = []
    for some in (blocks[i:i + 64] for i in range(0, len(blocks), 64)):
        for encoding, block in zip(tokenizer.encode_batch(some), some):
            rows += rows_of(encoding, block, sizes["row"] - 1)  # and the end token
    for name, some in (("eval", rows[:EVAL_ROWS]), ("train", rows[EVAL_ROWS:])):
        with open(folder / f"{name}.jsonl", "w", encoding="utf-8") as file:
            file.writelines(json.dumps({"conversations": [{"from": "gpt", "value": row}]}) + "\n" for row in some)
    if len(rows) < wanted:
        if len(rows) < EVAL_ROWS + sizes["rows"]:
            sys.exit(f"the texts here are {len(rows)} rows, hardly more than the {EVAL_ROWS} that are held out")
        steps = (len(rows) - EVAL_ROWS) // sizes["rows"]
        print(f"not {wanted} rows: each is read once, in {steps} steps")
    (folder / "config.yaml").write_text(CONFIG.format(steps=steps, eval_rows=EVAL_ROWS, **sizes))
    print(f"{sum(map(len, blocks)) / 1e6:.1f} M letters, {len(rows)} rows of {sizes['row']} tokens, of which {steps} steps take "
          f"{steps * sizes['rows']}; read in {read - begin:.0f} s, vocabulary in {learnt - read:.0f} s, rows in "
          f"{time.monotonic() - learnt:.0f} s", flush=True)


def train(folder, kit, env, precision, seed, gpu, limit):
    """What metrics.jsonl says at the end, or why there is nothing."""
    run = folder / f"{precision}-{seed}"
    words = [kit / "bin" / "cornstarch-train", "--config", folder / "config.yaml", "--overwrite", "--set", f"precision={precision}",
             "--set", f"seed={seed}", "--set", f"run_dir={run}"]
    with open(folder / f"{precision}-{seed}.log", "w+", encoding="utf-8") as log:
        try:
            code = subprocess.run(list(map(str, words)), env={**env, "CUDA_VISIBLE_DEVICES": gpu}, stdout=log, stderr=log,
                                  timeout=max(1, limit), check=False).returncode
        except subprocess.TimeoutExpired:
            return "not ended in time"
        log.seek(0)
        said = log.read()
    if code != 0:
        return why(code, said)
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    losses = [record["loss"] for record in records if "loss" in record]
    held_out = [record["eval_loss"] for record in records if "eval_loss" in record]
    skipped = sum(record.get("skipped_samples", 0) for record in records)
    return {"first": losses[0], "last": statistics.fmean(losses[-LAST:]), "eval": held_out[-1], "skipped": skipped,
            "step": statistics.median(r["step_time_s"] for r in records if "loss" in r),
            "rate": statistics.median(r["target_tokens"] / r["step_time_s"] for r in records if "loss" in r)}


def train_all(folder, kit, env, jobs, gpus, end):
    """Each job on the next free GPU; by (precision, seed)."""
    waiting, results = queue.SimpleQueue(), {}
    for job in jobs:
        waiting.put(job)

    def work(gpu):
        while True:
            try:
                job = waiting.get_nowait()
            except queue.Empty:
                return
            begin = time.monotonic()
            results[job] = train(folder, kit, env, *job, gpu, end - begin)
            print(f"{job[0]} seed {job[1]} on GPU {gpu}: {time.monotonic() - begin:.0f} s", flush=True)

    threads = [threading.Thread(target=work, args=(gpu,)) for gpu in gpus]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def judge(results, seeds):
    """The table, and whether fp8 learns as bf16 does."""
    print(f"\n{'precision':9} {'seed':>4} {'first':>8} {f'last {LAST}':>8} {'to bf16':>8} {'held out':>8} {'to bf16':>8} "
          f"{'step ms':>8} {'tokens/s':>9}")
    good = {job: result for job, result in results.items() if isinstance(result, dict)}
    for (precision, seed), result in sorted(results.items()):
        if isinstance(result, str):
            print(f"{precision:9} {seed:4} {result}")
            continue
        base = good.get(("bf16", seed)) if precision != "bf16" else None
        away = [f"{result[key] - base[key]:+8.4f}" if base else f"{'':8}" for key in ("last", "eval")]
        skipped = f"  {result['skipped']} rows skipped" if result["skipped"] else ""
        print(f"{precision:9} {seed:4} {result['first']:8.4f} {result['last']:8.4f} {away[0]} {result['eval']:8.4f} {away[1]} "
              f"{1e3 * result['step']:8.1f} {result['rate']:9.0f}{skipped}")
    if len(good) < len(results):
        print("no verdict: a run has no result")
        return False
    within = True
    for key, name in (("last", f"mean loss of the last {LAST} steps"), ("eval", "loss on held-out rows")):
        bf16 = [good["bf16", seed][key] for seed in seeds]
        away = [good["fp8", seed][key] - good["bf16", seed][key] for seed in seeds]
        spread = max(bf16) - min(bf16)
        worst = max(away, key=abs)
        fits = abs(worst) <= 2 * spread
        if key == "last":
            within = fits
        print(f"{name}: bf16 {statistics.fmean(bf16):.4f}, spread {spread:.4f}; fp8 {statistics.fmean(away):+.4f} on average, "
              f"{worst:+.4f} at most: {'within' if fits else 'NOT within'} twice the spread")
    return within


def main():
    begin = time.monotonic()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kit", type=Path, default=ROOT / "build" / "gpu-kit")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--limit", type=int, default=480)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--tiny", action="store_true")
    arguments = parser.parse_args()
    kit = arguments.kit.resolve()
    torch, gpus = probe()
    env = environment(torch, kit)
    visible = [gpu for gpu in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if gpu] or list(map(str, range(gpus)))
    if arguments.tiny:
        env, visible = dict(os.environ), [""]
    if not visible:
        sys.exit("there is no GPU here")
    seeds = list(range(1, arguments.seeds + 1))
    with tempfile.TemporaryDirectory(prefix="cornstarch-quality-") as scratch:
        folder = (arguments.keep or Path(scratch)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        prepare(folder, TINY if arguments.tiny else SIZES, arguments.steps)
        jobs = [(precision, seed) for seed in seeds for precision in ("bf16", "fp8")]
        results = train_all(folder, kit, env, jobs, visible, begin + arguments.limit)
        within = judge(results, seeds)
    print(f"{time.monotonic() - begin:.0f} s in all")
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())
