"""slurm_losses.py STEPS FILE FILE: two metrics.jsonl hold STEPS steps each, of the same losses to 1e-5 of their size."""

import json
import sys

steps, *files = sys.argv[1:]
runs = []
for file in files:
    records = [json.loads(line) for line in open(file)]
    runs.append([record["loss"] for record in records if "loss" in record])
    if len(runs[-1]) != int(steps):
        sys.exit(f"{file}: {len(runs[-1])} steps, not {steps}")
for step, (a, b) in enumerate(zip(*runs), 1):
    if abs(a - b) > 1e-5 * abs(b):
        sys.exit(f"step {step}: loss {a} and {b}")
