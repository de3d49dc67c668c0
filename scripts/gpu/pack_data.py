"""pack_data.py DEMO FOLDER: a part of the demo's data that travels: samples of all kinds, with pictures only, of text
only, and the media that they name."""

import json
import shutil
import sys
from pathlib import Path

SAMPLES, EVAL_SAMPLES = 640, 64

demo, folder = map(Path, sys.argv[1:])


def media(sample, kind):
    return sample.get(f"{kind}s", []) + ([sample[kind]] if kind in sample else [])


def write(name, samples):
    (folder / name).write_text("".join(json.dumps(sample) + "\n" for sample in samples))
    for sample in samples:
        for medium in media(sample, "image") + media(sample, "audio"):
            (folder / medium).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(demo / medium, folder / medium)


def read(name):
    return [json.loads(line) for line in (demo / name).read_text().splitlines()]


folder.mkdir(parents=True)
samples = read("train.jsonl")
write("train.jsonl", samples[:SAMPLES])
write("vision.jsonl", [s for s in samples[:SAMPLES] if not media(s, "audio")])
write("text.jsonl", [s for s in samples if not media(s, "image") and not media(s, "audio")])
write("eval.jsonl", read("eval.jsonl")[:EVAL_SAMPLES])
shutil.copy(demo / "tokenizer.json", folder)
