#!/usr/bin/env python3
"""What validate and train say of the files that a config names: inputs_test.py PROGRAM [unittest arguments]."""

import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

import model_folders

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "configs" / "example"
program = ""  # absolute path, from the command line

CONFIG = """\
model:
  encoders:
    vision:
      family: clip_vision_model
      pretrained: clip
  llm:
    family: llama
    pretrained: llama
layout: single
batch: {microbatch_size: 1, num_microbatches: 1, sequence_length: 64}
data:
  train: [{path: example/conversations.jsonl}]
  tokenizer: example/tokenizer.json
steps: 1
"""


class Inputs(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cornstarch-inputs-test-"))
        self.addCleanup(shutil.rmtree, self.folder)
        shutil.copytree(EXAMPLE, self.folder / "example")
        pictures = (EXAMPLE / "pictures.jsonl").read_text(encoding="utf-8").replace("<image>", "<vision>")
        (self.folder / "example" / "conversations.jsonl").write_text(pictures, encoding="utf-8")
        model_folders.write_model(self.folder / "clip", model_folders.TINY_CLIP,
                                  model_folders.clip_tensors(model_folders.TINY_CLIP), dtype="F32")
        model_folders.write_model(self.folder / "llama", model_folders.TINY_LLAMA,
                                  model_folders.llama_tensors(model_folders.TINY_LLAMA), dtype="F32")
        self.config(CONFIG)

    def config(self, text):
        (self.folder / "run.yaml").write_text(text, encoding="utf-8")

    def run_program(self, *words):
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("OMPI_", "PMI_", "PMIX_", "SLURM_", "MPI_"))}
        return subprocess.run([program, *map(str, words)], capture_output=True, text=True, cwd=self.folder, env=kept,
                              timeout=60, check=False)

    def expect(self, err, code=2, verbs=("validate", "train")):
        """Both verbs say the same, before anything starts."""
        for verb in verbs:
            done = self.run_program(verb, "--config", "run.yaml")
            self.assertEqual((done.returncode, done.stderr.replace(str(self.folder), "$")), (code, err), verb)

    def test_valid(self):
        self.expect("", 0, verbs=("validate",))

    def test_a_tokenizer_that_does_not_open(self):
        (self.folder / "example" / "tokenizer.json").write_text('{"model": {"type": "Unigram"}}', encoding="utf-8")
        done = self.run_program("validate", "--config", "run.yaml")
        self.assertEqual(done.returncode, 2)
        self.assertIn("run.yaml:13:14: error: ", done.stderr)
        self.assertIn("Unigram", done.stderr)
        self.expect(done.stderr.replace(str(self.folder), "$"))

    def test_a_template_whose_tokens_the_tokenizer_lacks(self):
        self.config(CONFIG.replace("example/tokenizer.json", "example\n  chat_template: chatml"))
        self.expect("""\
run.yaml:14:18: error: the chat template 'chatml' needs '<|im_start|>', '<|im_end|>', which the tokenizer does not have [chat_template]
   14 |   chat_template: chatml
      |                  ^~~~~~
  help: take the template that the model knows ('plain' needs no tokens of its own), or name begin and end with data.bos_token and data.eos_token
1 error
""")

    def test_special_tokens(self):
        self.config(CONFIG.replace("example/tokenizer.json", "example\n  eos_token: <eos>"))
        self.expect("""\
run.yaml:14:14: error: '<eos>' is no token of the tokenizer [special_token]
   14 |   eos_token: <eos>
      |              ^~~~~
  help: name one of its tokens as tokenizer.json spells it, or 'absent'
1 error
""")
        (self.folder / "example" / "tokenizer_config.json").unlink()
        self.config(CONFIG.replace("example/tokenizer.json", 'example\n  eos_token: absent\n  bos_token: <pad>'))
        self.expect("""\
run.yaml:13:14: warning: no end token is known: answers are taught to end with a newline [special_token]
   13 |   tokenizer: example
      |              ^~~~~~~
  help: put the model's tokenizer_config.json beside the tokenizer, or set data.eos_token (absent: there is none)
1 warning
""", 0, verbs=("validate",))

    def test_more_tokens_than_embeddings(self):
        model_folders.write_model(self.folder / "llama", {**model_folders.TINY_LLAMA, "vocab_size": 300},
                                  model_folders.llama_tensors({**model_folders.TINY_LLAMA, "vocab_size": 300}))
        self.expect("""\
run.yaml:13:14: error: the tokenizer's highest token id is 394 (' what'), but the LLM's vocab_size is 300: it has no embedding for ids from 300 on [bad_tokenizer]
   13 |   tokenizer: example/tokenizer.json
      |              ^~~~~~~~~~~~~~~~~~~~~~
  help: take the tokenizer that belongs to the model, or give the model rows for all tokens: in Python, model.resize_token_embeddings(395)
1 error
""")
        inline = json.dumps({**model_folders.TINY_LLAMA, "vocab_size": 394})
        self.config(CONFIG.replace("pretrained: llama", f"config: {inline}"))
        self.assertIn("  help: set vocab_size under model.llm.config to at least 395\n",
                      self.run_program("validate", "--config", "run.yaml").stderr)

    def test_preprocessing_of_another_model(self):
        (self.folder / "clip" / "preprocessor_config.json").write_text('{"size": 24, "crop_size": 24}', encoding="utf-8")
        self.expect("""\
run.yaml:5:19: error: '$/clip': preprocessor_config.json: it makes pictures of [3, 24, 24], the encoder takes [3, 16, 16] [bad_preprocessor]
    5 |       pretrained: clip
      |                   ^~~~
  help: take the file that was published with these weights; without one, media are prepared by its Hugging Face class's defaults, at the size that the encoder takes
1 error
""")
        (self.folder / "clip" / "preprocessor_config.json").write_text('{"size": 16, "crop_size": 16}', encoding="utf-8")
        self.expect("", 0, verbs=("validate",))

    def test_what_is_no_file_is_refused_at_once(self):
        """To open a FIFO would wait for its other end."""
        for name in ("run.yaml", "example/tokenizer.json", "example/tokenizer_config.json", "example/conversations.jsonl",
                     "clip/config.json", "clip/preprocessor_config.json", "llama/model.safetensors",
                     "llama/model.safetensors.index.json"):
            path, kept = self.folder / name, self.folder / "kept"
            weights = self.folder / "llama" / "model.safetensors"
            if name.endswith("index.json"):
                weights.rename(self.folder / "weights")
            if path.exists():
                path.rename(kept)
            os.mkfifo(path)
            err = self.run_program("validate", "--config", "run.yaml").stderr.replace(f"{self.folder}/", "")
            self.assertRegex(err, f"cannot read '{name}': it is a (FIFO, not a file|pipe that nobody writes to)")
            path.unlink()
            if kept.exists():
                kept.rename(path)

    def test_more_memory_than_the_host_has(self):
        """Refused before a worker starts, which is not there: 70 billion parameters at 16 bytes each."""
        huge = {**model_folders.LLAMA_8B, "hidden_size": 8192, "intermediate_size": 28672, "num_hidden_layers": 80,
                "num_attention_heads": 64}
        model_folders.write_model(self.folder / "llama", huge, model_folders.llama_tensors(huge), shards=30)
        done = self.run_program("train", "--config", "run.yaml", "--local-ranks", 2, "--set", "batch.num_microbatches=2")
        self.assertEqual(done.returncode, 78, done.stderr)
        held, _, rest = done.stderr.partition(" before any activation, but ")
        self.assertEqual(held, "error: the ranks on this host hold 2.1 TiB (parameters 526 GiB, gradients 526 GiB, optimizer "
                               "state 1 TiB)")
        there, _, help_line = rest.partition("\n")
        self.assertRegex(there, r"\A[0-9.]+ [GM]iB (of its memory are available|are what its control group \(a container, a "
                                r"job\) leaves)\Z")
        self.assertEqual(help_line, "  help: what would help: model.llm.train: false (526 GiB), one replica, of 1 rank, in "
                                    "all (1 TiB), precision: bf16_pure (1 TiB), sharding: zero3 (1 TiB), sharding: zero1 "
                                    "(1.5 TiB), more hosts for the stages and tp of the model\n")

    def test_models_of_real_size_take_no_time(self):
        model_folders.write_model(self.folder / "llama", model_folders.LLAMA_8B,
                                  model_folders.llama_tensors(model_folders.LLAMA_8B), shards=30)
        model_folders.write_model(self.folder / "clip", model_folders.CLIP_L_336,
                                  model_folders.clip_tensors(model_folders.CLIP_L_336))
        self.config(CONFIG.replace("sequence_length: 64", "sequence_length: 2048"))
        for words, seconds in (("validate",), 0.3), (("plan", "--world-size", 1), 0.1):
            self.assertLess(self.cpu_seconds(*words), seconds, words)

    def test_datasets_of_real_size_take_no_time_once_indexed(self):
        """As many samples as LLaVA-665k, once read: then a second is enough, whatever they weigh."""
        samples = (EXAMPLE / "pictures.jsonl").read_text(encoding="utf-8").replace("<image>", "<vision>").splitlines()
        with (self.folder / "example" / "conversations.jsonl").open("w", encoding="utf-8") as file:
            for _ in range(665_000 // len(samples) + 1):
                file.write("\n".join(samples) + "\n")
        begin = time.monotonic()
        first = self.run_program("validate", "--config", "run.yaml")
        self.assertEqual(first.returncode, 0, first.stderr)
        if time.monotonic() - begin > 1.5:  # on most machines; what a second takes is not said
            self.assertIn("finding the samples of conversations.jsonl: ", first.stderr)
        self.assertLess(self.cpu_seconds("validate"), 1)

    def cpu_seconds(self, *words):
        """Of the machine's time, not of the clock's: others may be at work. What is valid has nothing to be said."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = self.run_program(*words, "--config", "run.yaml")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


class Families(unittest.TestCase):
    """The schema says what `modules --list` does."""

    def output(self, *words):
        return subprocess.run([program, *words], capture_output=True, text=True, check=True).stdout

    def setUp(self):
        families = json.loads(self.output("modules", "--list", "--format", "json"))
        self.llms = [f["name"] for f in families if f["kind"] == "llm"]
        self.encoders = [f["name"] for f in families if f["kind"] != "llm"]
        self.assertIn("llama", self.llms)
        self.assertIn("whisper", self.encoders)

    def test_schema(self):
        model = json.loads(self.output("schema"))["properties"]["model"]["properties"]
        for section, names in ((model["llm"], self.llms), (model["encoders"]["additionalProperties"], self.encoders)):
            self.assertEqual(section["properties"]["family"]["enum"], names)
            keys = {c["if"]["properties"]["family"]["const"]: c["then"]["properties"]["config"]["properties"]
                    for c in section["allOf"] if "if" in c}
            self.assertEqual(list(keys), names)
            for name, key in (("llama", "num_key_value_heads"), ("whisper", "encoder_layers")):
                if name in names:
                    self.assertIn(key, keys[name])
                    self.assertNotIn(key + "x", keys[name])


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    program = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main(verbosity=1)
