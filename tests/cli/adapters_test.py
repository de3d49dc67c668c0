#!/usr/bin/env python3
"""Runs whose adapters Hugging Face's peft has trained, too (tests/golden/make_adapters.py): adapters_test.py PROGRAM
[unittest arguments]."""

import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden" / "adapters"
LAUNCHERS = ("OMPI_", "PMI_", "PMIX_", "SLURM_", "MPI_", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
program = ""  # absolute path, from the command line


def tensors(path):
    """Of a file of fp32 and fp64: the shape and the numbers of each."""
    content = path.read_bytes()
    (size,) = struct.unpack_from("<Q", content)
    out = {}
    for name, entry in json.loads(content[8:8 + size]).items():
        if name == "__metadata__":
            continue
        begin, end = (8 + size + at for at in entry["data_offsets"])
        letter, width = {"F32": ("f", 4), "F64": ("d", 8)}[entry["dtype"]]
        out[name] = entry["shape"], struct.unpack(f"<{(end - begin) // width}{letter}", content[begin:end])
    return out


class Adapters(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="cornstarch-adapters-test-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def config(self, **keys):
        modules = [["model.embed_tokens", "model.layers.0"], ["model.layers.1", "model.norm", "lm_head"]]
        return {"model": {"llm": {"family": "llama", "pretrained": str(GOLDEN / "base"), "parallel": {"tp": 2, "stages": modules},
                                  "lora": {"rank": 4, "alpha": 12, "targets": ["all-linear"], "pretrained": str(GOLDEN / "begun")}}},
                "batch": {"microbatch_size": 3, "global_size": 9, "sequence_length": 48},
                "data": {"train": [{"path": str(GOLDEN / "train.jsonl")}],
                         "tokenizer": str(ROOT / "configs" / "example" / "tokenizer.json")},
                "optimizer": {"lr": 0.01, "weight_decay": 0}, "lr_schedule": {"type": "constant", "warmup_steps": 0},
                "checkpoint": {"every": 8}, "precision": "fp64", "steps": 20, **keys}

    def run_program(self, *arguments, code=0):
        kept = {k: v for k, v in os.environ.items() if not k.startswith(LAUNCHERS)}
        done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True,
                              env={**kept, "OMP_NUM_THREADS": "1"}, timeout=120, check=False)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stderr

    def train(self, name, *extra, ranks=4, code=0, **keys):
        (self.folder / "run.yaml").write_text(json.dumps(self.config(run_dir=str(self.folder / name), **keys)))
        return self.run_program("train", "--config", self.folder / "run.yaml", "--local-ranks", ranks, *extra, code=code)

    def losses(self, name):
        lines = (self.folder / name / "metrics.jsonl").read_text().splitlines()
        return [r["loss"] for r in map(json.loads, lines) if "loss" in r]

    def model(self, name):
        return self.folder / name / "model" / "llm"

    def assert_near(self, got, expected, tolerance):
        """Of the largest number of each tensor."""
        self.assertEqual(sorted(got), sorted(expected))
        for name, (shape, numbers) in expected.items():
            self.assertEqual(got[name][0], shape, name)
            most = max(map(abs, numbers))
            self.assertLess(max(abs(a - b) for a, b in zip(got[name][1], numbers)), tolerance * most, name)

    def assert_as_peft(self, name):
        expected = json.loads((GOLDEN / "trained" / "losses.json").read_text())
        self.assertEqual(len(self.losses(name)), len(expected))
        for ours, theirs in zip(self.losses(name), expected):
            self.assertAlmostEqual(ours, theirs, delta=1e-4 * theirs)

    def test_twenty_steps_are_those_of_peft_in_its_files(self):
        self.train("split")
        self.train("single", "--layout", "single", ranks=1)
        for name in ("split", "single"):
            self.assert_as_peft(name)
            self.assert_near(tensors(self.model(name) / "adapter_model.safetensors"),
                             tensors(GOLDEN / "trained" / "adapter_model.safetensors"), 1e-3)
        said = json.loads((self.model("split") / "adapter_config.json").read_text())
        theirs = json.loads((GOLDEN / "trained" / "adapter_config.json").read_text())
        self.assertEqual(said.pop("base_model_name_or_path"), str(GOLDEN / "base"))
        said["target_modules"].sort()
        self.assertEqual(said, {key: theirs[key] for key in said})
        self.assertEqual(sorted(p.name for p in self.model("split").iterdir()),
                         ["adapter_config.json", "adapter_model.safetensors", "generation_config.json", "tokenizer.json",
                          "tokenizer_config.json"])

    def test_what_is_dropped_does_not_depend_on_the_layout(self):
        model = self.config()["model"]
        model["llm"]["lora"]["dropout"] = 0.3
        said = self.train("split", model=model, steps=6)
        self.assertIn(f"warning: the adapters in '{GOLDEN / 'begun'}' were trained with lora_dropout 0.0 (adapter_config.json), "
                      "the config says 0.3", said)
        self.train("single", "--layout", "single", ranks=1, model=model, steps=6)
        whole = json.loads((GOLDEN / "trained" / "losses.json").read_text())
        for split, single, without in zip(self.losses("split"), self.losses("single"), whole):
            self.assertAlmostEqual(split, single, delta=1e-9 * single)
            self.assertGreater(abs(single - without), 1e-4 * without)
        self.assertEqual(json.loads((self.model("split") / "adapter_config.json").read_text())["lora_dropout"], 0.3)

    def test_merged_weights_are_sums(self):
        self.train("run")
        shown = self.config()["model"]
        shown["llm"]["lora"]["merge"] = True
        self.train("merged", model=shown)
        self.run_program("checkpoint", "export", self.folder / "run", "--to", self.folder / "exported", "--merge")
        adapters = tensors(self.model("run") / "adapter_model.safetensors")
        expected = tensors(GOLDEN / "base" / "model.safetensors")
        for name, (shape, _) in adapters.items():
            if not name.endswith(".lora_A.weight"):
                continue
            stem = name.removesuffix(".lora_A.weight")
            weight = stem.removeprefix("base_model.model.") + ".weight"
            (rank, width), a = shape, adapters[name][1]
            b, (sizes, numbers) = adapters[stem + ".lora_B.weight"][1], expected[weight]
            expected[weight] = sizes, [w + 3 * sum(b[i // width * rank + r] * a[r * width + i % width] for r in range(rank))
                                       for i, w in enumerate(numbers)]
        for folder in (self.model("merged"), self.folder / "exported" / "llm"):
            self.assert_near(tensors(folder / "model.safetensors"), expected, 1e-12)
            self.assertTrue((folder / "config.json").exists())
            self.assertFalse((folder / "adapter_config.json").exists())
        plain = self.config()["model"]
        del plain["llm"]["lora"]
        self.train("plain", model=plain, steps=1)
        said = self.run_program("checkpoint", "export", self.folder / "plain", "--to", self.folder / "no", "--merge", code=2)
        self.assertIn(f"error: '{self.folder / 'plain' / 'checkpoints' / 'step-00000001'}' has no adapters\n"
                      "  help: without --merge, its model is written as it is\n", said)

    def test_a_run_goes_on_in_another_layout(self):
        self.train("run", steps=8)
        self.train("run", "--resume", "--layout", "single", ranks=3)
        self.assert_as_peft("run")

    def test_adapters_of_another_shape_are_not_gone_on_with(self):
        self.train("run", steps=8)
        wider = self.config()["model"]
        wider["llm"]["lora"].update(rank=5, pretrained=None)
        said = self.train("run", "--resume", model=wider, code=2)
        self.assertIn(f"the run cannot go on from '{self.folder / 'run' / 'checkpoints' / 'step-00000008'}': 28 parameters are of "
                      "another shape, the first of them llm/model.layers.0.self_attn.q_proj.lora_A.weight: [4, 16] there, "
                      "[5, 16] here\n"
                      "  help: set the model and the rank of its adapters as they were, or start a run of its own\n", said)


if __name__ == "__main__":
    program = str(Path(sys.argv.pop(1)).resolve())
    unittest.main()
