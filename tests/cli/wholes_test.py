#!/usr/bin/env python3
"""Whole checkpoints (tests/golden/make_wholes.py) imported, trained and exported: wholes_test.py PROGRAM [unittest arguments].

With CHECK_WHOLES naming a Python that has transformers, it loads what is exported, too."""

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
GOLDEN = ROOT / "tests" / "golden" / "wholes"
LAUNCHERS = ("OMPI_", "PMI_", "PMIX_", "SLURM_", "MPI_", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
CASES = ("llava", "llava_siglip", "llava_next", "qwen2_vl", "qwen2_5_vl", "gemma3", "qwen2_audio")
program = ""  # absolute path, from the command line


def tensors(folder):
    """Of all weights of a folder: type, shape and bytes."""
    out = {}
    for path in sorted(folder.glob("model*.safetensors")):
        content = path.read_bytes()
        (size,) = struct.unpack_from("<Q", content)
        for name, entry in json.loads(content[8:8 + size]).items():
            if name != "__metadata__":
                begin, end = (8 + size + at for at in entry["data_offsets"])
                out[name] = entry["dtype"], entry["shape"], content[begin:end]
    return out


def numbers(entry):
    dtype, _, content = entry
    if dtype == "BF16":
        return [struct.unpack("<f", b"\0\0" + content[i:i + 2])[0] for i in range(0, len(content), 2)]
    return struct.unpack(f"<{len(content) // 4}f", content)


def golden_loss(case):
    content = (GOLDEN / case / "golden.safetensors").read_bytes()
    (size,) = struct.unpack_from("<Q", content)
    begin, end = json.loads(content[8:8 + size])["loss"]["data_offsets"]
    return struct.unpack("<f", content[8 + size + begin:8 + size + end])[0]


class Wholes(unittest.TestCase):
    def setUp(self):
        self.folder = self.root = Path(tempfile.mkdtemp(prefix="cornstarch-wholes-test-"))
        self.addCleanup(shutil.rmtree, self.root)

    def each(self, cases):
        """Each in a folder of its own."""
        for case in cases:
            self.folder = self.root / f"of_{case}"
            self.folder.mkdir()
            yield case

    def run_program(self, *arguments, code=0):
        kept = {k: v for k, v in os.environ.items() if not k.startswith(LAUNCHERS)}
        done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, cwd=self.folder,
                              env={**kept, "OMP_NUM_THREADS": "1"}, timeout=120, check=False)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def checkpoint(self, case, **changes):
        """As a user has it: with its tokenizer."""
        folder = self.folder / case
        shutil.copytree(GOLDEN / case, folder, ignore=shutil.ignore_patterns("golden.safetensors", "*.png", "*.wav", "train.jsonl"))
        for name in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(ROOT / "configs" / "example" / name, folder)
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, **changes}, indent=1))
        return folder

    @staticmethod
    def add_tokens(folder, tokens):
        """And one that begins a text: to the tokenizer, in the place of the last that it has learnt."""
        said = json.loads((folder / "tokenizer.json").read_text())
        said["model"]["vocab"] = {k: v for k, v in said["model"]["vocab"].items() if v < 390}
        said["model"]["merges"] = [m for m in said["model"]["merges"]
                                   if "".join(m if isinstance(m, list) else m.split(" ")) in said["model"]["vocab"]]
        said["added_tokens"] += [{**said["added_tokens"][0], "id": 390 + i, "content": token} for i, token in enumerate(["<s>", *tokens])]
        (folder / "tokenizer.json").write_text(json.dumps(said))
        special = json.loads((folder / "tokenizer_config.json").read_text())
        (folder / "tokenizer_config.json").write_text(json.dumps({**special, "bos_token": "<s>"}))

    def imported(self, case):
        self.checkpoint(case)
        said = self.run_program("import", "--hf", case, "--out", "begun", "--data", GOLDEN / case / "train.jsonl")
        self.assertIn(f"nothing of '{self.folder / case}' was copied\n", said)
        self.assertEqual([p.name for p in (self.folder / "begun").iterdir()], ["run.yaml"])
        return self.folder / "begun" / "run.yaml"

    def train(self, config, *sets, run="run", ranks=1, steps=3):
        sets = [word for key in (f"steps={steps}", f"run_dir={run}", "data.chat_template=plain", "batch.num_microbatches=2",
                                 *sets) for word in ("--set", key)]
        self.run_program("train", "--config", config, "--local-ranks", ranks, *sets)
        lines = map(json.loads, (self.folder / run / "metrics.jsonl").read_text().splitlines())
        return [line["loss"] for line in lines if "loss" in line]

    def exported(self, run="run", name="exported"):
        said = self.run_program("export", "--run", run, "--out", name)
        return self.folder / name, said

    def test_what_is_imported_is_valid_and_gives_the_loss_of_transformers(self):
        for case in self.each(CASES):
            with self.subTest(case):
                config = self.imported(case)
                self.assertIn("run.yaml: valid\n", self.run_program("validate", "--config", config))
                losses = self.train(config, "precision=fp32", "lr_schedule.warmup_steps=0", "optimizer.lr=0.001")
                self.assertAlmostEqual(losses[0], golden_loss(case), delta=1e-6 * losses[0])
                self.assertLess(losses[2], losses[0] - 0.01)

    def test_what_did_not_train_is_exported_byte_for_byte(self):
        for case in self.each(CASES):
            with self.subTest(case):
                config = self.imported(case)
                self.train(config, steps=1)  # whose learning rate is 0
                out, said = self.exported()
                before, after = tensors(self.folder / case), tensors(out)
                self.assertEqual(before.keys(), after.keys())
                self.assertEqual([name for name in before if before[name] != after[name]], [])
                for file in (self.folder / case).iterdir():
                    if file.suffix != ".safetensors":
                        self.assertEqual((out / file.name).read_bytes(), file.read_bytes(), file.name)
                self.assertIn(f" tensors are the run's, the others those of '{self.folder / case}'\n", said)
                self.check_with_transformers(out, case)

    def check_with_transformers(self, folder, case):
        python = os.environ.get("CHECK_WHOLES")
        if python:
            subprocess.run([python, ROOT / "tests" / "golden" / "check_wholes.py", folder, GOLDEN / case], check=True,
                           capture_output=True)

    def test_layouts_agree_and_only_what_trained_is_another(self):
        for case in self.each(("llava", "qwen2_vl", "gemma3")):
            with self.subTest(case):
                config = self.imported(case)
                same = ("precision=fp64", "lr_schedule.warmup_steps=0", "optimizer.lr=0.001")
                layouts = {"single": 1, "dp": 2, "separate": 2, "tp": 4}
                options = {"dp": ["batch.num_microbatches=1"], "separate": ["layout=separate"],
                           "tp": ["layout=separate", "model.encoders.vision.parallel.tp=2", "model.llm.parallel.tp=2"]}
                losses = {name: self.train(config, *same, *options.get(name, []), run=name, ranks=ranks)
                          for name, ranks in layouts.items()}
                for name, own in losses.items():
                    for mine, theirs in zip(own, losses["single"]):
                        self.assertAlmostEqual(mine, theirs, delta=1e-9 * theirs, msg=name)
                self.run_program("train", "--config", config, *(w for key in (
                    "steps=2", "run_dir=fp32", "data.chat_template=plain", "batch.num_microbatches=2", "precision=fp32",
                    "lr_schedule.warmup_steps=0") for w in ("--set", key)))
                out, _ = self.exported("fp32")
                before, after = tensors(self.folder / case), tensors(out)
                self.assertEqual(before.keys(), after.keys())
                vision = "visual.blocks" if case == "qwen2_vl" else "vision_tower"
                for name, entry in before.items():
                    self.assertEqual(entry[:2], after[name][:2], name)
                    self.assertEqual(entry == after[name], name.startswith((vision, "visual.patch_embed")), name)

    def test_the_chat_template_is_the_folders_own_or_one_that_its_family_has_learnt(self):
        chatml = ["<|im_start|>", "<|im_end|>"]
        seen = [*chatml, "<|vision_start|>", "<|vision_end|>"]
        own = "{% for message in messages %}{{ message.content }}{% endfor %}"
        cases = (("llava", [], "vicuna"), ("llava", chatml, "chatml"),
                 ("llava", ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"], "llama3"),
                 ("llava_siglip", chatml, "chatml"), ("llava_next", [], "mistral"),
                 ("qwen2_vl", seen, "qwen2_vl"), ("qwen2_5_vl", seen, "qwen2_vl"), ("qwen2_vl", chatml, "chatml"),
                 ("gemma3", ["<start_of_turn>", "<end_of_turn>"], "gemma"))
        families = {"llava_siglip": "qwen2", "llava_next": "mistral", "qwen2_vl": "qwen2_vl_text",
                    "qwen2_5_vl": "qwen2_5_vl_text", "gemma3": "gemma3_text"}
        for i, (case, tokens, wanted) in enumerate(cases):
            with self.subTest(case, wanted=wanted):
                self.folder = self.root / str(i)
                self.folder.mkdir()
                folder = self.checkpoint(case)
                self.add_tokens(folder, tokens)

                def chosen():
                    self.run_program("import", "--hf", case, "--out", "begun", "--overwrite")
                    return (self.folder / "begun" / "run.yaml").read_text().replace(str(self.folder), "$")

                learnt = f"  chat_template: {wanted}  # as models of {families.get(case, 'llama')} have learnt\n"
                self.assertIn(f"  # '$/{case}' has no chat template: no chat_template.jinja, and no chat_template in "
                              f"chat_template.json or tokenizer_config.json\n{learnt}", chosen())
                (folder / "chat_template.jinja").write_text(own)
                self.assertIn(f"  tokenizer: \"$/{case}\"\n  chat_template: checkpoint  # the folder's own\n", chosen())
                (folder / "chat_template.jinja").write_text("{{ messages | groupby }}")
                self.assertIn(f"  # $/{case}/chat_template.jinja:1:13: the filter 'groupby' is not supported\n{learnt}", chosen())
        self.folder = self.root
        self.checkpoint("gemma3")
        self.run_program("import", "--hf", "gemma3", "--out", "begun")
        self.assertIn("  chat_template: plain  # the tokenizer has the tokens of none that gemma3_text has learnt\n",
                      (self.folder / "begun" / "run.yaml").read_text())

    def test_adapters_are_added_to_the_weights_that_they_are_of(self):
        config = self.imported("llava")
        lora = ["model.llm.lora={rank: 2, alpha: 6, targets: [q_proj, down_proj]}", "lr_schedule.warmup_steps=0", "optimizer.lr=0.01"]
        self.train(config, *lora)
        self.train(config, *lora, "model.llm.lora.merge=true", run="merged")
        out, said = self.exported()
        merged, _ = self.exported("merged", "exported-merged")
        self.assertIn("exported: 8 of 80 tensors are the run's", said)
        before, ours, theirs = tensors(self.folder / "llava"), tensors(out), tensors(merged)
        for name, entry in before.items():
            adapted = "self_attn.q_proj" in name and name.startswith("language_model.") or "down_proj" in name
            self.assertEqual(entry != ours[name], adapted or "projector" in name, name)
            most = max(map(abs, numbers(theirs[name])))
            for mine, other in zip(numbers(ours[name]), numbers(theirs[name])):
                self.assertAlmostEqual(mine, other, delta=1e-6 * most, msg=name)

    def test_adapters_alone_are_those_of_peft_for_the_whole(self):
        config = self.imported("gemma3")
        self.train(config, "model.llm.lora={rank: 2, alpha: 6, targets: [q_proj]}", steps=1)
        said = self.run_program("export", "--run", "run", "--out", "alone", "--adapters")
        self.assertEqual(said, f"alone: adapters in PEFT's format for '{self.folder / 'gemma3'}', 6 tensors\n")
        before = "base_model.model.model."
        projector = before + "multi_modal_projector.mm_"
        layers = [f"{before}language_model.layers.{layer}.self_attn.q_proj.lora_{x}.weight" for layer in (0, 1) for x in "AB"]
        content = (self.folder / "alone" / "adapter_model.safetensors").read_bytes()
        header = json.loads(content[8:8 + struct.unpack_from("<Q", content)[0]])
        self.assertEqual(sorted(header), sorted(["__metadata__", projector + "soft_emb_norm.weight",
                                                 projector + "input_projection_weight", *layers]))
        shapes = tensors(self.folder / "gemma3")["multi_modal_projector.mm_input_projection_weight"][1]
        self.assertEqual(header[projector + "input_projection_weight"]["shape"], shapes)
        said = json.loads((self.folder / "alone" / "adapter_config.json").read_text())
        self.assertEqual(said["modules_to_save"], ["model.multi_modal_projector"])
        self.assertEqual(said["target_modules"], "|".join(
            rf"model\.language_model\.layers\.{layer}\.self_attn\.q_proj" for layer in (0, 1)))
        self.assertEqual((said["r"], said["lora_alpha"], said["base_model_name_or_path"]), (2, 6, str(self.folder / "gemma3")))

    def test_a_run_in_another_type_says_so(self):
        config = self.imported("llava_siglip")
        self.train(config, "export_dtype=fp32", steps=1)
        out, said = self.exported()
        self.assertIn("what the run made is in float32 (export_dtype)\n", said)
        self.assertEqual(json.loads((out / "config.json").read_text())["dtype"], "float32")
        before, after = tensors(self.folder / "llava_siglip"), tensors(out)
        for name, entry in before.items():
            self.assertEqual(after[name][0], "BF16" if "vision_tower" in name else "F32", name)
            self.assertEqual(numbers(entry), list(numbers(after[name])), name)

    def test_what_cannot_be_imported_is_refused_by_name_and_place(self):
        def refused(case, **changes):
            shutil.rmtree(self.folder / case, ignore_errors=True)
            self.checkpoint(case, **changes)
            said = self.run_program("import", "--hf", case, "--out", "no", code=65)
            self.assertFalse((self.folder / "no").exists())
            return said.replace(str(self.folder), "$")

        self.assertEqual(refused("llava", vision_feature_layer=[-2, -5], multimodal_projector_bias=False,
                                 text_config={"model_type": "phi3"}),
                         "error: '$/llava': config.json: vision_feature_layer: features of one layer only are supported, got [-2,-5]\n"
                         "  config.json: multimodal_projector_bias: a projector without biases is not supported: only true\n"
                         "  config.json: text_config.model_type: family \"phi3\" is not known\n"
                         "  help: known language models: llama, mistral, qwen2, qwen2_vl_text, qwen2_5_vl_text, qwen3, gemma2, "
                         "gemma3_text, olmo2\n")
        self.assertEqual(refused("llava_siglip", vision_feature_select_strategy="default"),
                         "error: '$/llava_siglip': config.json: vision_feature_select_strategy: \"default\" drops the first of each "
                         "picture's features, a class token, which siglip_vision_model has none of: only \"full\" is supported\n")
        self.assertEqual(refused("gemma3", mm_tokens_per_image=5),
                         "error: '$/gemma3': config.json: mm_tokens_per_image: 4 x 4 patches cannot be averaged to 5 features\n")
        self.assertEqual(refused("llava", model_type="llama"),
                         "error: '$/llava' is no whole checkpoint that is known: its model_type is \"llama\"\n"
                         "  help: parts are read of llava, llava_next, qwen2_vl, qwen2_5_vl, gemma3, qwen2_audio; a folder of one model is "
                         "named without '#'\n")

    def test_weights_that_are_missing_or_of_no_part_are_told(self):
        folder = self.checkpoint("llava")
        index = json.loads((folder / "model.safetensors.index.json").read_text())
        shard = folder / index["weight_map"]["multi_modal_projector.linear_1.bias"]
        for name in ("multi_modal_projector.linear_1.bias", "language_model.model.norm.weight"):
            file = folder / index["weight_map"][name]
            file.write_bytes(file.read_bytes().replace(name.encode(), name.encode()[:-1] + b"X"))
        index["weight_map"] = {k[:-1] + "X" if k in ("multi_modal_projector.linear_1.bias", "language_model.model.norm.weight") else k: v
                               for k, v in index["weight_map"].items()}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
        self.assertTrue(shard.exists())
        said = self.run_program("import", "--hf", "llava", "--out", "no", code=2).replace(str(self.folder), "$")
        self.assertIn("'$/llava#vision': 1 of 4 weights are missing, the first is 'projector.in_proj.bias'", said)
        self.assertIn("'$/llava#llm': 1 of 21 weights are missing, the first is 'model.norm.weight'", said)
        self.assertIn("'$/llava#llm': a model of family 'llama' has no place for 1 weight: model.norm.weighX", said)
        self.assertFalse((self.folder / "no").exists())

    def test_what_is_there_is_not_written_over(self):
        config = self.imported("llava")
        said = self.run_program("import", "--hf", "llava", "--out", "begun", code=2)
        self.assertEqual(said, "error: 'begun/run.yaml' is there already\n  help: give another folder, or --overwrite\n")
        self.run_program("import", "--hf", "llava", "--out", "begun", "--overwrite")
        self.assertIn("train.jsonl", config.read_text())
        (self.folder / "full").mkdir()
        (self.folder / "full" / "x").touch()
        said = self.run_program("export", "--run", "run", "--out", "full", code=2)
        self.assertEqual(said, "error: 'full' is there already\n  help: give another folder\n")

    def test_what_cannot_be_exported_whole_leaves_nothing(self):
        self.train(self.imported("llava"), steps=1)
        full = ["bash", "-c", 'trap "" XFSZ; ulimit -f 48; exec "$0" "$@"', program, "export", "--run", "run", "--out", "half"]
        said = subprocess.run(full, capture_output=True, text=True, cwd=self.folder, timeout=120, check=False)
        self.assertNotIn(said.returncode, (0, -25), said.stderr)
        self.assertIn("half", said.stderr)
        self.assertEqual(sorted(p.name for p in self.folder.glob("half*")), [])
        self.assertTrue((self.exported(name="half")[0] / "config.json").exists())

    def test_only_runs_of_whole_checkpoints_are_exported(self):
        config = self.imported("llava")
        self.run_program("modules", "--config", config)
        self.train(config, steps=1, run="first")
        self.train(config, f"model.llm.pretrained={self.folder}/first/model/llm", steps=1)
        said = self.run_program("export", "--run", "run", "--out", "no", code=2)
        self.assertEqual(said, f"error: 'llm' came from '{self.folder}/first/model/llm', no part of a whole checkpoint\n"
                         "  help: export is of runs whose models are all parts of one checkpoint, as import writes them; the run's "
                         "model folder has each model by itself\n")


if __name__ == "__main__":
    program = str(Path(sys.argv.pop(1)).resolve())
    unittest.main()
