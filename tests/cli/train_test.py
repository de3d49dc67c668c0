#!/usr/bin/env python3
"""Trains a few steps of the demo's model on the example's five samples: train_test.py PROGRAM [unittest arguments]."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "configs" / "example"
LAUNCHERS = ("OMPI_", "PMI_", "PMIX_", "SLURM_", "MPI_", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
program = ""  # absolute path, from the command line


def environment():
    kept = {k: v for k, v in os.environ.items() if not k.startswith(LAUNCHERS)}
    return {**kept, "OMP_NUM_THREADS": "1"}


class Training(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cornstarch-train-test-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.data = self.folder / "data"
        shutil.copytree(EXAMPLE, self.data)

    def command(self, *extra, name="run", steps=3, layout=("--local-ranks", "4"), config="demo.yaml"):
        data = self.data / "conversations.jsonl"
        files = f"[{{path: {data}, media_root: {self.data}}}]"
        return [program, "--config", str(ROOT / "configs" / config), *layout, "--set", f"run_dir={self.folder / name}",
                "--set", f"steps={steps}", "--set", f"data.train={files}", "--set", f"data.eval={files}",
                "--set", f"data.tokenizer={self.data / 'tokenizer.json'}", "--set", "lr_schedule.warmup_steps=1",
                "--set", "batch.global_size=8", "--set", "batch.microbatch_size=2", *extra]

    def train(self, *extra, code=0, **kinds):
        done = subprocess.run(self.command(*extra, **kinds), capture_output=True, text=True, env=environment(),
                              timeout=120, check=False)
        self.assertEqual(done.returncode, code, done.stderr)
        return done

    def metrics(self, name="run"):
        lines = (self.folder / name / "metrics.jsonl").read_text().splitlines()
        records = [json.loads(line) for line in lines]
        return [r for r in records if "loss" in r], [r for r in records if "eval_loss" in r]

    def test_a_run_leaves_metrics_plan_config_and_the_model(self):
        self.train()
        steps, evaluations = self.metrics()
        self.assertEqual(list(steps[0]), ["time", "step", "loss", "grad_norm", "lr", "tokens", "target_tokens", "step_time_s",
                                          "tokens_per_s", "model_flops", "model_flops_full_attention"])
        self.assertGreater(steps[0]["model_flops_full_attention"], steps[0]["model_flops"])
        self.assertEqual([s["stage"] for s in steps[1]["previous_step"]],
                         ["vision stage 0", "audio stage 0", "llm stage 0", "llm stage 1"])
        for stage in steps[1]["previous_step"]:
            self.assertGreater(stage["compute_s"], 0)
        self.assertEqual([r["step"] for r in steps], [1, 2, 3])
        self.assertLess(steps[2]["loss"], steps[0]["loss"])
        self.assertEqual(evaluations[-1]["eval_samples"], 5)
        run = self.folder / "run"
        self.assertEqual(json.loads((run / "plan.json").read_text())["world_size"], 4)
        for modality, files in {"vision": ["config.json", "model.safetensors", "projector.safetensors"],
                                "audio": ["config.json", "model.safetensors", "projector.safetensors"],
                                "llm": ["config.json", "model.safetensors"]}.items():
            self.assertEqual(sorted(p.name for p in (run / "model" / modality).iterdir()), files)
        again = subprocess.run([program, "validate", "--config", str(run / "config.yaml")], capture_output=True,
                               text=True, env=environment(), check=False)
        self.assertEqual(again.returncode, 0, again.stderr)

    def test_layouts_have_the_same_losses(self):
        self.train(name="threads")
        self.train(name="single", layout=("--layout", "single"))
        self.train("--set", "model.llm.parallel.tp=2", name="wide", layout=("--local-ranks", "12"))
        self.train("--set", "sharding=zero3", name="shared", layout=("--layout", "single", "--local-ranks", "2"))
        reference, _ = self.metrics("single")
        for name in ("threads", "wide", "shared"):
            steps, _ = self.metrics(name)
            for a, b in zip(steps, reference, strict=True):
                self.assertAlmostEqual(a["loss"], b["loss"], delta=1e-5 * b["loss"])
                self.assertAlmostEqual(a["grad_norm"], b["grad_norm"], delta=1e-4 * b["grad_norm"])
                self.assertEqual((a["tokens"], a["target_tokens"]), (b["tokens"], b["target_tokens"]))

    def test_frozen_encoders_from_the_folders_of_a_run(self):
        self.train()
        model = self.folder / "run" / "model"
        folders = ("--set", f"model.encoders.vision.pretrained={model / 'vision'}", "--set",
                   f"model.encoders.audio.pretrained={model / 'audio'}")
        self.train(*folders, name="frozen", config="demo-frozen.yaml")
        self.train(*folders, "--set", "sharding=zero3", name="shared", config="demo-frozen.yaml",
                   layout=("--layout", "single", "--local-ranks", "2"))
        for name in ("frozen", "shared"):
            for modality in ("vision", "audio"):
                before = (model / modality / "model.safetensors").read_bytes()
                after = (self.folder / name / "model" / modality / "model.safetensors").read_bytes()
                self.assertEqual(before, after, (name, modality))

    def test_chosen_steps_are_traced_over_all_ranks(self):
        self.train("--trace", "2..3", steps=4)
        events = json.loads((self.folder / "run" / "trace.json").read_text())["traceEvents"]
        spans = [e for e in events if e["ph"] == "X"]
        names = {(e["pid"], e["args"]["name"]) for e in events if e["name"] == "process_name"}
        self.assertEqual(names, {(0, "rank 0: vision stage 0, dp 0, cp 0, tp 0"),
                                 (1, "rank 1: audio stage 0, dp 0, cp 0, tp 0"),
                                 (2, "rank 2: llm stage 0, dp 0, cp 0, tp 0"),
                                 (3, "rank 3: llm stage 1, dp 0, cp 0, tp 0")})
        forwards = [e["name"] for e in spans if e["pid"] == 3 and e["name"].startswith("forward")]
        self.assertEqual(forwards, 2 * [f"forward llm stage 1, microbatch {m}" for m in range(4)])
        refused = self.train("--trace", "3..2", name="other", code=2)
        self.assertIn("--trace: '3..2' is no step and no range of steps", refused.stderr)

    def test_a_run_folder_is_not_written_over(self):
        self.train(steps=1)
        for layout in (("--local-ranks", "4"), ("--layout", "single")):
            refused = self.train(steps=1, code=2, layout=layout)
            self.assertIn(f"the run folder '{self.folder / 'run'}' already holds a run", refused.stderr)
            self.assertIn("pass --overwrite to move the old run aside, or --set run_dir=... for another folder",
                          refused.stderr)
        self.train("--overwrite", steps=1)
        self.assertTrue((self.folder / "run.old-1" / "metrics.jsonl").exists())

    def test_a_signal_ends_the_run_after_the_step_with_the_model_written(self):
        for layout, number in ((("--local-ranks", "4"), signal.SIGINT), (("--layout", "single"), signal.SIGTERM)):
            name = f"stop-{number}"
            process = subprocess.Popen(self.command(name=name, steps=100000, layout=layout), env=environment(),
                                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            metrics = self.folder / name / "metrics.jsonl"
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline and not (metrics.exists() and metrics.stat().st_size > 0):
                time.sleep(0.1)
            process.send_signal(number)
            _, errors = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 128 + number, errors)
            self.assertTrue((self.folder / name / "model" / "llm" / "model.safetensors").exists())

    def test_a_bad_sample_ends_the_run_or_is_counted(self):
        (self.data / "seven.png").write_bytes((self.data / "seven.png").read_bytes()[:60])
        failed = self.train(code=65)
        self.assertIn("seven.png", failed.stderr)
        self.assertIn("conversations.jsonl:", failed.stderr)
        self.train("--set", "data.on_bad_sample=skip", name="skip")
        self.train("--set", "data.on_bad_sample=skip", name="skip-single", layout=("--layout", "single"))
        # Tokens have been dealt to ranks before the others say that a sample is bad.
        self.train("--set", "data.on_bad_sample=skip", "--set", "model.llm.parallel.sp=2", "--set",
                   "model.llm.parallel.mode=ring_attn", "--set", "model.llm.parallel.distribution=uniform", name="skip-split",
                   layout=("--local-ranks", "6"))
        single, _ = self.metrics("skip-single")
        for name in ("skip", "skip-split"):
            for a, b in zip(self.metrics(name)[0], single, strict=True):
                self.assertGreater(a["skipped_samples"], 0)
                self.assertEqual((a["skipped_samples"], a["tokens"]), (b["skipped_samples"], b["tokens"]))
                self.assertAlmostEqual(a["loss"], b["loss"], delta=1e-5 * b["loss"])

    def test_split_and_packed_samples_have_the_same_losses_and_answers(self):
        split = ["model.llm.parallel.distribution=zigzag"]
        for modality, sp, mode in (("encoders.vision", 2, "ring_attn"), ("encoders.audio", 3, "ring"), ("llm", 2, "ring")):
            split += [f"model.{modality}.parallel.sp={sp}", f"model.{modality}.parallel.mode={mode}"]
        packed = ["batch.packing=true"]
        for mask, values, ranks in (("causal", split, 9), ("causal", packed, 4), ("image_bidirectional", split + packed, 9),
                                    ("modality_isolated", split, 9)):
            with self.subTest(mask=mask, values=values):
                masked = ("--set", f"model.llm.attention_mask={mask}", "--overwrite")
                self.train(*masked, name="single", layout=("--layout", "single"))
                self.train(*masked, *(word for value in values for word in ("--set", value)), name="parallel",
                           layout=("--local-ranks", str(ranks)))
                steps, (answers,) = self.metrics("parallel")
                reference, (expected,) = self.metrics("single")
                for a, b in zip(steps, reference, strict=True):
                    self.assertAlmostEqual(a["loss"], b["loss"], delta=1e-5 * b["loss"])
                    self.assertAlmostEqual(a["grad_norm"], b["grad_norm"], delta=1e-4 * b["grad_norm"])
                    self.assertEqual((a["tokens"], a["target_tokens"]), (b["tokens"], b["target_tokens"]))
                self.assertAlmostEqual(answers["eval_loss"], expected["eval_loss"], delta=1e-5 * expected["eval_loss"])
                self.assertEqual(answers["eval_samples"], expected["eval_samples"])
                self.assertEqual(answers["eval_accuracy"], expected["eval_accuracy"])

    def test_a_world_that_does_not_fit(self):
        refused = self.train(code=78, layout=("--local-ranks", "5"))
        self.assertIn("world size 5 is not a multiple of the 4 ranks of one replica", refused.stderr)
        self.assertIn("4 or 8", refused.stderr)


if __name__ == "__main__":
    program = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main()
