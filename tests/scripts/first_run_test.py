#!/usr/bin/env python3
"""Walks README's ways from LLaVA's data set to a trained model, from a whole checkpoint and from its parts, with its commands as
they stand, on folders of the same files and layers but tiny widths and random weights: first_run_test.py PROGRAM [unittest
arguments].

The last command of the second way needs transformers; where this Python has none, it is left out (set PYTHON to one that has)."""

import array
import json
import os
import pathlib
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden" / "dataio"
HIDDEN, MLP, VOCABULARY = 32, 48, 704
program = ""  # absolute path, from the command line


def write_safetensors(path, shapes):
    random.seed(path.parent.name)
    header, body = {}, array.array("f")
    for name, shape in shapes.items():
        begin, elements = 4 * len(body), 1
        for size in shape:
            elements *= size
        one = "norm" in name and name.endswith("weight")
        body.extend(1.0 if one else random.uniform(-0.1, 0.1) for _ in range(elements))
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, 4 * len(body)]}
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body.tobytes())


def linear(name, out, width):
    return {f"{name}.weight": [out, width], f"{name}.bias": [out]}


def norm(name):
    return {f"{name}.weight": [HIDDEN], f"{name}.bias": [HIDDEN]}


CLIP = {"model_type": "clip_vision_model", "hidden_size": HIDDEN, "intermediate_size": MLP, "num_hidden_layers": 24,
        "num_attention_heads": 2, "image_size": 336, "patch_size": 14, "hidden_act": "quick_gelu"}
VICUNA = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": HIDDEN, "intermediate_size": MLP,
          "num_hidden_layers": 32, "num_attention_heads": 2, "num_key_value_heads": 2, "vocab_size": VOCABULARY,
          "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "tie_word_embeddings": False, "hidden_act": "silu",
          "bos_token_id": 1, "eos_token_id": 2}


def write_preprocessor(folder):
    (folder / "preprocessor_config.json").write_text(json.dumps({
        "image_processor_type": "CLIPImageProcessor", "crop_size": 336, "size": 336, "resample": 3, "do_resize": True,
        "do_center_crop": True, "do_normalize": True, "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711]}))


def clip_shapes(v):
    shapes = {f"{v}.embeddings.class_embedding": [HIDDEN],
              f"{v}.embeddings.patch_embedding.weight": [HIDDEN, 3, 14, 14],
              f"{v}.embeddings.position_embedding.weight": [24 * 24 + 1, HIDDEN],
              **norm(f"{v}.pre_layrnorm"), **norm(f"{v}.post_layernorm")}
    for layer in (f"{v}.encoder.layers.{i}" for i in range(24)):
        for part in "qkv":
            shapes |= linear(f"{layer}.self_attn.{part}_proj", HIDDEN, HIDDEN)
        shapes |= linear(f"{layer}.self_attn.out_proj", HIDDEN, HIDDEN) | norm(f"{layer}.layer_norm1")
        shapes |= linear(f"{layer}.mlp.fc1", MLP, HIDDEN) | linear(f"{layer}.mlp.fc2", HIDDEN, MLP)
        shapes |= norm(f"{layer}.layer_norm2")
    return shapes


def make_clip(folder):
    """openai/clip-vit-large-patch14-336 but for its width: the vision half of it."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CLIP))
    write_preprocessor(folder)
    write_safetensors(folder / "model.safetensors", clip_shapes("vision_model"))


def write_tokenizer(folder):
    (folder / "generation_config.json").write_text(json.dumps({"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}))
    (folder / "tokenizer_config.json").write_text(json.dumps({
        "tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>",
        "add_bos_token": True, "add_eos_token": False, "legacy": False}))
    shutil.copy(GOLDEN / "tokenizer_llama2.json", folder / "tokenizer.json")


def vicuna_shapes():
    shapes = {"model.embed_tokens.weight": [VOCABULARY, HIDDEN], "lm_head.weight": [VOCABULARY, HIDDEN],
              "model.norm.weight": [HIDDEN]}
    for layer in (f"model.layers.{i}" for i in range(32)):
        for part in "qkvo":
            shapes[f"{layer}.self_attn.{part}_proj.weight"] = [HIDDEN, HIDDEN]
        shapes |= {f"{layer}.mlp.gate_proj.weight": [MLP, HIDDEN], f"{layer}.mlp.up_proj.weight": [MLP, HIDDEN],
                   f"{layer}.mlp.down_proj.weight": [HIDDEN, MLP], f"{layer}.input_layernorm.weight": [HIDDEN],
                   f"{layer}.post_attention_layernorm.weight": [HIDDEN]}
    return shapes


def make_vicuna(folder):
    """lmsys/vicuna-7b-v1.5 but for its width and vocabulary."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(VICUNA))
    write_tokenizer(folder)
    write_safetensors(folder / "model.safetensors", vicuna_shapes())


def make_llava(folder):
    """llava-hf/llava-1.5-7b-hf but for its widths and vocabulary."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({
        "model_type": "llava", "architectures": ["LlavaForConditionalGeneration"], "image_token_index": VOCABULARY - 1,
        "projector_hidden_act": "gelu", "vision_feature_layer": -2, "vision_feature_select_strategy": "default",
        "vision_config": CLIP, "text_config": VICUNA, "tie_word_embeddings": False, "torch_dtype": "float32"}))
    write_preprocessor(folder)
    write_tokenizer(folder)
    projector = "multi_modal_projector.linear_"
    write_safetensors(folder / "model.safetensors", {
        **clip_shapes("vision_tower.vision_model"), **linear(projector + "1", HIDDEN, HIDDEN), **linear(projector + "2", HIDDEN, HIDDEN),
        **{f"language_model.{name}": shape for name, shape in vicuna_shapes().items()}})


def make_instructions(folder):
    """LLaVA-Instruct: a list of talks of several turns about COCO's pictures."""
    (folder / "train2017").mkdir(parents=True)
    pictures = sorted((GOLDEN / "photos").glob("jpeg_*.jpg"))[:4]
    names = ["000000033471.jpg", *(f"00000000000{i}.jpg" for i in range(1, 4))]
    for picture, name in zip(pictures, names):
        shutil.copy(picture, folder / "train2017" / name)
    (folder / "llava_instruct_150k.json").write_text(json.dumps([{"id": str(i), "image": names[i % 4], "conversations": [
        {"from": "human", "value": f"<image>\nWhat is in picture {i}?"}, {"from": "gpt", "value": f"It is picture {i}."},
        {"from": "human", "value": "Are you sure?"}, {"from": "gpt", "value": "Yes."}]} for i in range(204)]))


def make_data(folder):
    """Both files of LLaVA 1.5, a few samples each: pictures in JPEG, turns, a sample without a picture."""
    (folder / "images").mkdir(parents=True)
    pictures = sorted((GOLDEN / "photos").glob("jpeg_*.jpg"))[:4]
    for picture in pictures:
        shutil.copy(picture, folder / "images" / picture.name)
    captions = [{"id": str(i), "image": p.name, "conversations": [
        {"from": "human", "value": "Describe the image concisely.\n<image>"},
        {"from": "gpt", "value": f"picture number {i}"}]} for i, p in enumerate(pictures)]
    questions = [{"id": str(i), "image": p.name, "conversations": [
        {"from": "human", "value": "<image>\nWhat is this?"}, {"from": "gpt", "value": f"It is picture {i}."},
        {"from": "human", "value": "Are you sure?"}, {"from": "gpt", "value": "Yes."}]} for i, p in enumerate(pictures)]
    questions.append({"id": "text", "conversations": [{"from": "human", "value": "Say a word."},
                                                      {"from": "gpt", "value": "word"}]})
    (folder / "blip_laion_cc_sbu_558k.json").write_text(json.dumps(captions))
    (folder / "llava_v1_5_mix665k.json").write_text(json.dumps(questions))


def section(title):
    return re.search(rf"\n## {title}\n(.*?)\n## ", (ROOT / "README.md").read_text(), re.S).group(1)


def commands(text):
    """The program's of a section, in order."""
    shell = re.search(r"```bash\n(.*?)```", text, re.S).group(1)
    return [line for line in shell.replace("\\\n", " ").splitlines() if line.startswith("cornstarch-train ")]


class FirstRun(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cornstarch-first-run-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def run_line(self, line, *more):
        environment = {**os.environ, "MODELS": str(self.folder / "models"), "DATA": str(self.folder / "data"),
                       "PATH": f"{pathlib.Path(program).parent}:{os.environ['PATH']}", "OMP_NUM_THREADS": "2"}
        # Real sizes take real machines; nothing else is changed.
        extra = ""
        if "--config" in line and "validate" not in line and "plan" not in line:
            extra = (" --set steps=2 --set batch.microbatch_size=1"
                     " --set batch.sequence_length=960 --set lr_schedule.warmup_steps=1") + "".join(f" --set {each}" for each in more)
        line = line.split("#")[0] + extra
        done = subprocess.run(["bash", "-c", line], cwd=self.folder, env=environment,
                              capture_output=True, text=True, timeout=600)
        self.assertEqual(done.returncode, 0, f"{line}\n{done.stdout}\n{done.stderr}")
        return done

    def test_from_a_whole_checkpoint_to_answers(self):
        make_llava(self.folder / "models" / "llava-1.5-7b-hf")
        make_instructions(self.folder / "data")
        lines = commands(section("From LLaVA to your own answers"))
        self.assertEqual([line.split()[1] for line in lines], ["import", "validate", "generate", "--config", "export", "generate"])
        said = [self.run_line(line, "batch.num_microbatches=2", "eval.max_samples=4", "eval.generate_tokens=3") for line in lines]
        self.assertEqual(said[1].stdout, "first/run.yaml: valid\n")
        for answer in (said[2], said[5]):
            self.assertTrue(answer.stdout.endswith("\n"))
        answers = [json.loads(line) for line in (self.folder / "runs" / "llava-1.5-7b-hf" / "answers.jsonl").read_text().splitlines()]
        self.assertEqual([(each["step"], each["question"], each["right"]) for each in answers], [(2, "Are you sure?", ["Yes."])] * 4)
        tuned = self.folder / "llava-tuned"
        self.assertEqual(json.loads((tuned / "config.json").read_text())["model_type"], "llava")

    def test_from_parts_to_a_model(self):
        shutil.copytree(ROOT / "configs", self.folder / "configs")
        make_clip(self.folder / "models" / "clip-vit-large-patch14-336")
        make_vicuna(self.folder / "models" / "vicuna-7b-v1.5")
        make_data(self.folder / "data")
        text = section("Your own model and data")
        lines, python = commands(text), re.search(r"```python\n(.*?)```", text, re.S).group(1)
        self.assertEqual(len(lines), 5)
        for line in lines:
            self.run_line(line, "batch.global_size=2")
        steps = [json.loads(line) for run in ("llava-pretrain", "llava-finetune")
                 for line in (self.folder / "runs" / run / "metrics.jsonl").read_text().splitlines()]
        self.assertEqual(len([step for step in steps if "loss" in step]), 4)
        interpreter = os.environ.get("PYTHON", sys.executable)
        if subprocess.run([interpreter, "-c", "import transformers"], capture_output=True, check=False).returncode:
            self.skipTest("everything but the last command: no transformers here")
        done = subprocess.run([interpreter, "-W", "error::UserWarning", "-c", python], cwd=self.folder,
                              capture_output=True, text=True, timeout=600)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("newly initialized", done.stderr)


if __name__ == "__main__":
    program = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main()
