"""Run folders as a trainer leaves them, made up."""

import json
import math
import random

STAGES = ("vision stage 0", "llm stage 0", "llm stage 1")


def step(number, steps, draw, **others):
    warm = min(1.0, number / max(0.05 * steps, 1))
    seconds = 0.5 + 0.05 * draw.random()
    record = {"time": f"2026-11-27T{10 + number * 8 // steps:02}:{number % 60:02}:00.000Z", "step": number,
              "loss": 0.8 + 3.2 * math.exp(-6 * number / steps) + 0.15 * draw.gauss(0, 1) * math.exp(-number / steps),
              "grad_norm": 0.6 + 2.0 * draw.random() * math.exp(-3 * number / steps), "lr": 3e-4 * warm * (0.55 + 0.45 * math.cos(math.pi * number / steps)),
              "tokens": 4000 + draw.randrange(300), "target_tokens": 900, "step_time_s": seconds, "tokens_per_s": 4150 / seconds,
              "model_flops": 2.1e13, "model_flops_full_attention": 2.4e13, "mfu": 0.41 + 0.02 * draw.random()}
    if number > 1:
        record["previous_step"] = [{"stage": name, "compute_s": 0.28 + 0.05 * k, "bubble_s": 0.12 - 0.04 * k, "communication_s": 0.03 + 0.01 * k,
                                    "peak_memory_bytes": (9 + 4 * k) << 30} for k, name in enumerate(STAGES)]
    return record | others


def trace(ranks, microbatches=6):
    events = []
    for rank in range(ranks):
        events.append({"name": "process_name", "ph": "M", "pid": rank, "tid": 0, "args": {"name": f"rank {rank}: llm stage {rank}, dp 0, tp 0"}})
        for m in range(microbatches):
            begin = 1000 * (rank + 3 * m)
            for name, kind, at, length in ((f"forward llm {rank}, microbatch {m}", "compute", begin, 900), ("wait", "bubble", begin + 900, 1100),
                                           (f"backward llm {rank}, microbatch {m}", "compute", begin + 2000, 990)):
                events.append({"name": name, "cat": kind, "ph": "X", "ts": at, "dur": length, "pid": rank, "tid": 0})
        events.append({"name": "reduce", "cat": "communication", "ph": "X", "ts": 1000 * (rank + 3 * microbatches), "dur": 1500, "pid": rank, "tid": 2})
    return {"displayTimeUnit": "ms", "traceEvents": events}


def answers(steps):
    asked = [("eval.jsonl:1", "<image>\nWhich digit is this?", "seven", ("seven", "one", "seven")),
             ("eval.jsonl:2", "<audio>\nWhich digit do you hear?", "three", ("three", "tree", "three")),
             ("eval.jsonl:3", "<image>\n<audio>\nWhich digits are these?", "seven and three", ("one", "seven and one", "seven and three"))]
    return [{"step": steps * (k + 1) // 3, "sample": sample, "question": question, "answer": said[k], "right": [right],
             "exact_match": int(said[k] == right), "f1": 1.0 if said[k] == right else 0.5 if "and" in said[k] else 0.0}
            for k in range(3) for sample, question, right, said in asked]


def write_run(folder, steps=400, seed=1, lr=3e-4, whole=True):
    """whole: with all files that a run may leave, not metrics.jsonl alone."""
    folder.mkdir(parents=True)
    draw = random.Random(seed)
    lines = []
    for number in range(1, steps + 1):
        lines.append(step(number, steps, draw))
        if number % max(steps // 8, 1) == 0:
            share = number / steps
            lines.append({"time": lines[-1]["time"], "step": number, "eval_loss": 0.9 + 2.5 * math.exp(-5 * share) + 0.05 * draw.random(),
                          "eval_accuracy": 0.97 * (1 - math.exp(-4 * share)), "eval_samples": 510})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    if not whole:
        return
    (folder / "config.yaml").write_text(f"precision: bf16\noptimizer:\n  type: adamw\n  lr: {lr}\nsteps: {steps}\nrun_dir: {folder}\n")
    (folder / "versions.json").write_text(json.dumps({"cornstarch-train": "1.0", "ranks": 3, "gpu": "NVIDIA H100 80GB HBM3", "host": "n1", "launcher": "srun"}))
    (folder / "plan.json").write_text(json.dumps({"world_size": 3, "ranks_per_replica": 3, "dp": 1, "layout": "separate"}))
    (folder / "trace.json").write_text(json.dumps(trace(3)))
    (folder / "answers.jsonl").write_text("".join(json.dumps(line) + "\n" for line in answers(steps)))
