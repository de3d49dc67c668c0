#!/usr/bin/env python3
"""Runs the cornstarch-train program as a user does: cli_test.py PROGRAM [unittest arguments]."""

import fcntl
import json
import os
import pathlib
import pty
import re
import select
import shutil
import stat
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLE = "configs/cornstarch-example.yaml"
LAUNCHERS = ("OMPI_", "PMI_", "PMIX_", "SLURM_", "MPI_", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
program = ""  # absolute path, from the command line


def environment(extra=None):
    """Ours without what a launcher may have set, so that the program believes to be alone."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(LAUNCHERS)}
    return {**kept, **(extra or {})}


class Outcome:
    def __init__(self, done):
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr


def run(*args, env=None, binary=None, cwd=ROOT):
    return Outcome(subprocess.run([binary or program, *map(str, args)], capture_output=True, text=True, cwd=cwd,
                                  env=environment(env), timeout=60, check=False))


class Case(unittest.TestCase):
    maxDiff = None

    def expect(self, outcome, code, out=None, err=None):
        """Exit code, and the whole of each stream that is given."""
        self.assertEqual((outcome.code, outcome.err if err is not None else None),
                         (code, err), f"stdout: {outcome.out}\nstderr: {outcome.err}")
        if out is not None:
            self.assertEqual(outcome.out, out)


class CommandLine(Case):
    def test_without_words(self):
        self.expect(run(), 2, "", "error: say what to do: a verb, or --config FILE to train\n"
                                  "  help: see cornstarch-train --help\n")

    def test_help_names_every_verb_and_fits_a_screen(self):
        outcome = run("--help")
        self.expect(outcome, 0, err="")
        for verb in ("train", "validate", "data", "plan", "modules", "init", "generate", "report", "env", "selftest", "schema",
                     "completion"):
            self.assertIn(f"\n  {verb} ", outcome.out)
        self.assertLessEqual(len(outcome.out.splitlines()), 40)
        self.assertEqual(run("-h").out, outcome.out)
        self.assertEqual(run("help").out, outcome.out)

    def test_help_of_each_verb_has_examples(self):
        for verb in ("train", "validate", "data", "plan", "modules", "init", "generate", "report", "env", "selftest", "schema",
                     "completion"):
            outcome = run(verb, "--help")
            self.expect(outcome, 0, err="")
            self.assertIn(f"Usage: cornstarch-train {verb} ", outcome.out)
            self.assertIn("Examples:\n  ", outcome.out)
            self.assertEqual(run("help", verb).out, outcome.out)

    def test_version(self):
        outcome = run("--version")
        self.expect(outcome, 0, err="")
        self.assertRegex(outcome.out, r"\Acornstarch-train \d+\.\d+\.\d+\n  compiler       \S+ \d")
        for name in ("yaml-cpp", "CLI11", "spdlog", "nlohmann-json"):
            self.assertRegex(outcome.out, rf"\n  {name} +\d+\.\d+")

    def test_misspelt_verbs_and_options(self):
        for words, err in (
                (["trian"], "error: unknown verb 'trian'\n  help: did you mean 'train'?\n"),
                (["frobnicate"], "error: unknown verb 'frobnicate'\n"
                                 "  help: the verbs are train, validate, data, plan, modules, checkpoint, init, import, export, "
                                 "generate, report, env, selftest, schema, completion\n"),
                (["run.yaml"], "error: unexpected argument 'run.yaml'\n  help: did you mean --config run.yaml?\n"),
                (["validate", "run.yaml"],
                 "error: unexpected argument 'run.yaml'\n  help: did you mean --config run.yaml?\n"),
                (["--confg", "run.yaml"], "error: unknown option '--confg'\n  help: did you mean '--config'?\n"),
                (["plan", "--wrld-size=4"],
                 "error: unknown option '--wrld-size'\n  help: did you mean '--world-size'?\n"),
                (["plan", "--frobnicate"],
                 "error: unknown option '--frobnicate'\n  help: see cornstarch-train plan --help\n"),
                (["validate", "--config", EXAMPLE, "extra"],
                 "error: unexpected argument 'extra'\n  help: see cornstarch-train validate --help\n")):
            with self.subTest(words):
                self.expect(run(*words), 2, "", err)

    def test_missing_and_wrong_values(self):
        for words, problem in (
                (["plan"], "--config is missing"),
                (["validate"], "--config is missing"),
                (["train", "--overwrite"], "--config is missing"),
                (["plan", "--config", EXAMPLE], "--world-size is missing: the number of ranks to plan for"),
                (["plan", "--config"], "--config: takes exactly one value"),
                (["plan", "--config", "a", "--config", "b"], "--config: takes exactly one value"),
                (["train", "--config", "--overwrite"], "--config: needs a value, got '--overwrite'"),
                (["plan", "--config", EXAMPLE, "--world-size", "0"],
                 "--world-size: expected a whole number from 1 up, got '0'"),
                (["plan", "--config", EXAMPLE, "--world-size", "2x"],
                 "--world-size: expected a whole number from 1 up, got '2x'"),
                (["plan", "--config", EXAMPLE, "--world-size", "99999999999"],
                 "--world-size: expected a whole number from 1 up, got '99999999999'"),
                (["validate", "--config", EXAMPLE, "--format", "jsn"],
                 "--format: expected text or json, got 'jsn'; did you mean 'json'?"),
                (["train", "--config", EXAMPLE, "--layout", "colocated"],
                 "--layout: expected separate or single, got 'colocated'"),
                (["modules"], "give one of --config, --family or --list"),
                (["modules", "--family", "llama"], "--hf-config is missing: the config.json of the model")):
            with self.subTest(words):
                verb = words[0]
                self.expect(run(*words), 2, "", f"error: {problem}\n  help: see cornstarch-train {verb} --help\n")

    def test_set_takes_one_value_per_flag(self):
        outcome = run("validate", "--set", "batch.microbatch_size=2", "--config", EXAMPLE)
        self.expect(outcome, 0, f"{EXAMPLE}: valid\n", "")
        outcome = run("validate", "--set", "seed=1", "--set", "optimizer.betas=[0.8, 0.9]", EXAMPLE)
        self.expect(outcome, 2, "", f"error: unexpected argument '{EXAMPLE}'\n"
                                    f"  help: did you mean --config {EXAMPLE}?\n")
        self.expect(run("validate", "--config", EXAMPLE, "--set", "seed=1", "--set", "optimizer.betas=[0.8, 0.9]"),
                    0, f"{EXAMPLE}: valid\n", "")

    def test_output_that_cannot_be_written(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            done = subprocess.run([program, "--help"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        self.assertEqual((done.returncode, done.stderr),
                         (74, "error: cannot write to standard output: No space left on device\n"))

    def test_nothing_of_libtorch_or_mpi_is_linked(self):
        if shutil.which("ldd") is None:
            self.skipTest("ldd is missing")
        listing = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
        self.assertIn("libc.so", listing)
        self.assertNotRegex(listing.lower(), r"torch|libc10|mpi|cuda")


class Validate(Case):
    def test_valid(self):
        self.expect(run("validate", "--config", EXAMPLE), 0, f"{EXAMPLE}: valid\n", "")
        outcome = run("validate", "--config", EXAMPLE, "--format", "json", "--world-size", 27)
        self.expect(outcome, 0, err="")
        self.assertEqual(json.loads(outcome.out), {"valid": True, "diagnostics": []})

    def test_all_problems_as_text(self):
        self.expect(run("validate", "--config", EXAMPLE, "--set", "model.lm.x=3", "--set",
                        "batch.microbatch_size=0"), 2, "",
                    "--set:1:7: error: unknown key 'lm' in 'model' [unknown_key]\n"
                    "    1 | model.lm.x=3\n"
                    "      |       ^~\n"
                    "  help: here it is 'llm': The language model.\n"
                    "--set:1:23: error: 'batch.microbatch_size' must be at least 1, not 0 [out_of_range]\n"
                    "    1 | batch.microbatch_size=0\n"
                    "      |                       ^\n"
                    "2 errors\n")

    def test_all_problems_as_json(self):
        outcome = run("validate", "--config", EXAMPLE, "--format", "json", "--set", "sed=3", "--set",
                      "model.llm.parallel.tp=3")
        self.expect(outcome, 2, err="")
        answer = json.loads(outcome.out)
        self.assertIs(answer["valid"], False)
        for diagnostic in answer["diagnostics"]:
            self.assertEqual(list(diagnostic), ["severity", "code", "message", "file", "line", "column", "help"])
            self.assertEqual(diagnostic["severity"], "error")
        self.assertEqual(answer["diagnostics"][0]["code"], "unknown_key")
        self.assertEqual(answer["diagnostics"][0]["help"], "did you mean 'seed'?")
        self.assertGreaterEqual(len(answer["diagnostics"]), 2)

    def test_missing_file(self):
        outcome = run("validate", "--config", "nope.yaml")
        self.assertEqual(outcome.code, 2)
        self.assertIn("nope.yaml: error: cannot read 'nope.yaml': No such file or directory", outcome.err)

    def test_ranges_of_modules_as_others_write_them(self):
        stages = "[[model.embed_tokens, {}], [\"model.layers.5..9\"], [\"model.layers.10..15\", model.norm, lm_head]]"
        for written, meant in (("model.layers[0:5]", "model.layers.0..4"), ("model.layers.0-4", "model.layers.0..4"),
                               ("model.layers.{0..4}", "model.layers.0..4"), ("model.layers.*", "model.layers.0..15"),
                               ("layers.0-4", "model.layers.0..4")):
            with self.subTest(written):
                flag = "model.llm.parallel.stages=" + stages.format(f'"{written}"')
                self.expect(run("validate", "--config", EXAMPLE, "--set", flag), 2, "",
                            f"--set:1:49: error: '{written}' is no range of modules [bad_module_range]\n"
                            f"    1 | {flag}\n      | {' ' * 48}^{'~' * (len(written) + 1)}\n"
                            f"  help: write {meant}: both ends are counted in\n1 error\n")

    def test_world_size_that_does_not_fit(self):
        self.expect(run("validate", "--config", EXAMPLE, "--world-size", 28), 78, "",
                    f"{EXAMPLE}: error: world size 28 is not a multiple of the 27 ranks of one replica "
                    "[infeasible]\n  help: start 27 or 54 ranks\n1 error\n")
        outcome = run("validate", "--config", EXAMPLE, "--world-size", 28, "--format", "json")
        self.assertEqual(outcome.code, 78)
        self.assertEqual([d["code"] for d in json.loads(outcome.out)["diagnostics"]], ["infeasible"])


def open_terminal():
    try:
        return pty.openpty()
    except OSError as error:  # a bare chroot has none
        raise unittest.SkipTest(f"no pseudo-terminal here: {error}") from error


def on_a_terminal(columns, words):
    """What a program prints on a terminal so wide."""
    main, other = open_terminal()
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    process = subprocess.Popen(words, stdout=other, stderr=other, stdin=other, cwd=ROOT, env=environment())
    os.close(other)
    out = b""
    try:
        while chunk := os.read(main, 65536):
            out += chunk
    except OSError:  # the program is gone
        pass
    os.close(main)
    process.wait(timeout=60)
    return out.decode().replace("\r\n", "\n")


class Shown:
    """The numbers and names that a plan's JSON holds."""

    def __init__(self, plan):
        self.numbers, self.names = set(), set()
        self.collect(plan)

    def collect(self, value):
        if isinstance(value, dict):
            self.names.update(value)
            for each in value.values():
                self.collect(each)
        elif isinstance(value, list):
            self.numbers.add(len(value))
            for each in value:
                self.collect(each)
        elif isinstance(value, str):
            self.names.add(value)
        elif value is not None:
            self.numbers.add(value)

    def has_number(self, text):
        if text[-1] in "KMBT":
            unit = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}[text[-1]]
            decimals = len(text[:-1].partition(".")[2])
            return any(f"{n / unit:.{decimals}f}" == text[:-1] for n in self.numbers)
        if "." in text:
            return any(f"{n:.2f}" == text for n in self.numbers)
        return int(text) in self.numbers

    def has_name(self, text):
        """A module's name or a range of them."""
        first, dots, last = text.partition("..")
        if not dots:
            return text in self.names
        stem, _, number = first.rpartition(".")
        return all(f"{stem}.{i}" in self.names for i in range(int(number), int(last) + 1))

    def missing(self, line):
        """What a line of the table says and the JSON does not."""
        for word in re.findall(r"[\w.]*[A-Za-z_][\w]*\.[\w.]+", line):
            if not word.startswith("model.encoders.") and not word.endswith(".parallel.tp") and not self.has_name(word):
                yield word
        for number in re.findall(r"(?<![\w.])\d+(?:\.\d+)?[KMBT]?(?![\w])(?!\.\.)", line):
            if not self.has_number(number):
                yield number


class Plan(Case):
    def plan(self, *args):
        outcome = run("plan", "--config", EXAMPLE, "--format", "json", *args)
        self.expect(outcome, 0, err="")
        return json.loads(outcome.out)

    def test_one_replica_of_the_example(self):
        plan = self.plan("--world-size", 27)
        self.assertEqual(list(plan), ["world_size", "ranks_per_replica", "dp", "nodes", "gpus_per_node", "layout", "step",
                                      "modalities", "stages", "llm_attention_heaviest_over_mean", "ranks", "groups",
                                      "tp_groups_over_nodes", "tp_groups_inside_nodes_with"])
        self.assertEqual(list(plan["llm_attention_heaviest_over_mean"]), ["text", "half pictures", "packed samples"])
        self.assertEqual((plan["world_size"], plan["ranks_per_replica"], plan["dp"], plan["layout"]),
                         (27, 27, 1, "separate"))
        self.assertEqual(plan["modalities"], [
            {"name": "vision", "tp": 2, "sp": 1, "mode": None, "num_stages": 1, "first_stage": 0},
            {"name": "audio", "tp": 1, "sp": 1, "mode": None, "num_stages": 1, "first_stage": 1},
            {"name": "llm", "tp": 4, "sp": 2, "mode": "ring_attn", "num_stages": 3, "first_stage": 2}])
        self.assertEqual([r["rank"] for r in plan["ranks"]], list(range(27)))
        self.assertEqual([r["node"] for r in plan["ranks"]], [r // 8 for r in range(27)])
        self.assertEqual([r["parts"][0]["stage"] for r in plan["ranks"]], [0, 0, 1] + [2] * 8 + [3] * 8 + [4] * 8)
        self.assertEqual(plan["groups"]["tp"], [[0, 1], [2], [3, 4, 5, 6], [7, 8, 9, 10], [11, 12, 13, 14],
                                                [15, 16, 17, 18], [19, 20, 21, 22], [23, 24, 25, 26]])
        sp = [[0], [1], [2], [3, 7], [4, 8], [5, 9], [6, 10], [11, 15], [12, 16], [13, 17], [14, 18], [19, 23],
              [20, 24], [21, 25], [22, 26]]
        self.assertEqual(plan["groups"]["sp"], sp)
        self.assertEqual(plan["groups"]["dp_sp"], sp)
        self.assertEqual(plan["groups"]["world"], [list(range(27))])

    def test_a_rank_and_its_neighbours(self):
        ranks = self.plan("--world-size", 27)["ranks"]
        self.assertEqual(ranks[8], {
            "rank": 8, "node": 1, "dp": 0,
            "parts": [{"modality": "llm", "stage": 2, "stage_in_modality": 0, "sp": 1, "tp": 1,
                       "modules": ["model.embed_tokens"] + [f"model.layers.{i}" for i in range(5)]}],
            "receives_from": [0, 2], "sends_to": [16]})
        # Half of vision's tp interval overlaps two of the LLM's tp ranks, on both sp ranks.
        self.assertEqual(ranks[0]["sends_to"], [3, 4, 7, 8])
        self.assertEqual(ranks[1]["sends_to"], [5, 6, 9, 10])
        self.assertEqual(ranks[2]["sends_to"], [3, 4, 5, 6, 7, 8, 9, 10])
        self.assertEqual((ranks[26]["receives_from"], ranks[26]["sends_to"]), ([18], []))
        self.assertEqual(ranks[2]["parts"][0]["modules"],
                         ["conv1", "conv2", "embed_positions"] + [f"layers.{i}" for i in range(12)] +
                         ["layer_norm", "projector"])

    def test_two_replicas_of_the_example(self):
        plan = self.plan("--world-size", 54, "--gpus-per-node", 4)
        self.assertEqual((plan["ranks_per_replica"], plan["dp"]), (27, 2))
        self.assertEqual([r["node"] for r in plan["ranks"]], [r // 4 for r in range(54)])
        self.assertEqual([r["dp"] for r in plan["ranks"]],
                         [0, 0, 1, 1, 0, 1] + ([0] * 8 + [1] * 8) * 3)
        llm_tp = [list(range(r, r + 4)) for r in range(6, 54, 4)]
        self.assertEqual(plan["groups"]["tp"], [[0, 1], [2, 3], [4], [5]] + llm_tp)
        self.assertEqual(plan["groups"]["dp_sp"], [[0, 2], [1, 3], [4, 5]] +
                         [[first + i + 4 * j for j in range(4)] for first in (6, 22, 38) for i in range(4)])
        self.assertEqual(plan["ranks"][3]["sends_to"], [16, 17, 20, 21])

    def test_single_layout(self):
        plan = self.plan("--world-size", 2, "--layout", "single")
        self.assertEqual((plan["layout"], plan["ranks_per_replica"], plan["dp"]), ("single", 1, 2))
        self.assertEqual([[p["modality"] for p in r["parts"]] for r in plan["ranks"]], [["vision", "audio", "llm"]] * 2)
        self.assertEqual(plan["groups"]["tp"], [[0], [1]] * 3)
        self.assertEqual(plan["groups"]["dp_sp"], [[0, 1]] * 3)

    def test_table(self):
        outcome = run("plan", "--config", EXAMPLE, "--world-size", 513)
        self.expect(outcome, 0, err="")
        lines = outcome.out.splitlines()
        self.assertEqual(lines[0], "513 ranks = 19 replicas of 27, on 65 nodes of 8, layout separate")
        self.assertLess(len(lines), 50)
        self.assertLessEqual(max(map(len, lines)), 110)
        self.assertIn("  llm     tp 4 sp 2 ring_attn         +-->(2)-->(3)-->(4)", lines)
        self.assertIn("8-25   64-207   2] [2 2 2 2] [2 2 2", lines)

    def test_json_holds_every_number_and_name_of_the_table(self):
        for args in (["--world-size", 27], ["--world-size", 54, "--gpus-per-node", 4], ["--world-size", 513],
                     ["--world-size", 3, "--layout", "single"],
                     ["--world-size", 27, "--set", "model.encoders.vision.train={encoder: false}", "--set",
                      "model.encoders.vision.feature_layer=-2", "--set", "batch.packing=microbatch", "--gpus-per-node", 5]):
            with self.subTest(args):
                known = Shown(self.plan(*args))
                table = run("plan", "--config", EXAMPLE, *args).out
                self.assertGreater(len(table.splitlines()), 10)
                for line in table.splitlines():
                    for missing in known.missing(line):
                        self.fail(f"{missing!r} is not in the JSON: {line}")
                self.assertEqual(list(known.missing("31337 ranks of model.layers.7..99, 9.87M, 7.77")),
                                 ["model.layers.7..99", "31337", "9.87M", "7.77"])

    def test_width_of_the_terminal(self):
        words = ["plan", "--config", EXAMPLE, "--world-size", "54"]
        piped = run(*words).out
        shapes = {}
        for columns in (60, 80, 100, 200):
            text = on_a_terminal(columns, [program, *words])
            self.assertLessEqual(max(map(len, text.splitlines())), columns)
            shapes[columns] = text
            # No word is broken: what differs is where lines end, and what trains may have a line of its own.
            self.assertEqual(sorted(set(re.findall(r"\S+", text)) ^ set(re.findall(r"\S+", piped))),
                             ["trains", "trains:"] if columns == 60 else [])
        self.assertEqual(piped, shapes[200])
        self.assertNotEqual(shapes[80], shapes[100])

    def test_world_size_that_does_not_fit(self):
        self.expect(run("plan", "--config", EXAMPLE, "--world-size", 50), 78, "",
                    "error: world size 50 is not a multiple of the 27 ranks of one replica\n"
                    "  help: start 27 or 54 ranks\n")
        self.expect(run("plan", "--config", EXAMPLE, "--world-size", 1), 78, "",
                    "error: world size 1 is not a multiple of the 27 ranks of one replica\n"
                    "  help: start 27 ranks, or pass --layout single to train on one rank\n")

    def test_invalid_config(self):
        outcome = run("plan", "--config", EXAMPLE, "--world-size", 27, "--set", "model.llm.family=lama")
        self.assertEqual((outcome.code, outcome.out), (2, ""))
        self.assertIn("did you mean 'llama'?", outcome.err)


class Modules(Case):
    def test_of_a_config(self):
        outcome = run("modules", "--config", EXAMPLE)
        self.expect(outcome, 0, err="", out="""\
# vision: clip_vision_model, 28 modules
stages:
  - [vision_model.embeddings, vision_model.pre_layrnorm, "vision_model.encoder.layers.0..23",
     vision_model.post_layernorm, projector]

# audio: whisper, 17 modules
stages:
  - [conv1, conv2, embed_positions, "layers.0..11", layer_norm, projector]

# llm: llama, 19 modules
stages:
  - [model.embed_tokens, "model.layers.0..15", model.norm, lm_head]
""")
        names = json.loads(run("modules", "--config", EXAMPLE, "--format", "json").out)
        self.assertEqual(list(names), ["vision", "audio", "llm"])
        self.assertEqual(names["llm"], ["model.embed_tokens"] + [f"model.layers.{i}" for i in range(16)] +
                         ["model.norm", "lm_head"])

    def test_of_a_config_whose_stages_are_still_to_be_written(self):
        outcome = run("modules", "--config", EXAMPLE, "--set", "model.llm.parallel.stages=[[nonsense]]")
        self.expect(outcome, 0, run("modules", "--config", EXAMPLE).out, "")

    def test_of_a_family(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "config.json"
            path.write_text(json.dumps({"model_type": "llama", "num_hidden_layers": 2}), encoding="utf-8")
            outcome = run("modules", "--family", "llama", "--hf-config", path, "--format", "json")
            self.expect(outcome, 0, err="")
            self.assertEqual(json.loads(outcome.out), {"llm": ["model.embed_tokens", "model.layers.0",
                                                               "model.layers.1", "model.norm", "lm_head"]})
            path.write_text('{"num_hidden_layers": "two"}', encoding="utf-8")
            outcome = run("modules", "--family", "llama", "--hf-config", path)
            self.assertEqual((outcome.code, outcome.out), (2, ""))
            self.assertIn("llm: num_hidden_layers: ", outcome.err)
        self.expect(run("modules", "--family", "lama"), 2, "",
                    "error: --family: unknown family 'lama'\n  help: did you mean 'llama'?\n")
        self.expect(run("modules", "--family", "llama", "--hf-config", "/nonexistent/config.json"), 66, "")

    def test_families(self):
        outcome = run("modules", "--list", "--format", "json")
        self.expect(outcome, 0, err="")
        kinds = {f["name"]: f["kind"] for f in json.loads(outcome.out)}
        self.assertEqual({name: kinds.get(name) for name in ("clip_vision_model", "whisper", "llama")},
                         {"clip_vision_model": "vision", "whisper": "audio", "llama": "llm"})
        text = run("modules", "--list").out
        for name in kinds:
            self.assertRegex(text, rf"(?m)^{name} ")


class Documents(Case):
    def test_schema(self):
        outcome = run("schema")
        self.expect(outcome, 0, err="")
        schema = json.loads(outcome.out)
        self.assertIn("draft-07", schema["$schema"])
        self.assertIn("model", schema["properties"])
        self.assertIn("`steps`", run("schema", "--markdown").out)


class Completion(Case):
    def complete(self, *words):
        """What bash offers for the last word."""
        script = ("source <(\"$0\" completion bash)\nCOMP_WORDS=(\"$@\")\nCOMP_CWORD=$(($# - 1))\n"
                  "compopt() { :; }\n_cornstarch_train\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n")
        done = subprocess.run(["bash", "-uc", script, program, "cornstarch-train", *words], capture_output=True,
                              text=True, cwd=ROOT, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout.split()

    def test_verbs_options_values_files_and_keys(self):
        self.assertEqual(self.complete("va"), ["validate"])
        self.assertEqual(self.complete("help", "mo"), ["modules"])
        self.assertEqual(self.complete("plan", "--w"), ["--world-size"])
        self.assertEqual(self.complete("plan", "--format", ""), ["table", "json"])
        self.assertEqual(self.complete("validate", "--format", "j"), ["json"])
        self.assertEqual(self.complete("--config", "x", "--over"), ["--overwrite"])
        self.assertEqual(self.complete("plan", "--config", "configs/cornstarch-e"), [EXAMPLE])
        self.assertEqual(self.complete("plan", "--config", "=", "configs/cornstarch-e"), [EXAMPLE])
        self.assertEqual(self.complete("train", "--set", "batch.g"), ["batch.global_size="])
        self.assertEqual(self.complete("train", "--set", "model.enc"), ["model.encoders."])
        self.assertEqual(self.complete("train", "--set", "model.lang"), [])
        self.assertEqual(self.complete("train", "--set", "model.llm.conf"), ["model.llm.config."])
        self.assertEqual(self.complete("completion", "b"), ["bash"])
        self.assertEqual(self.complete("report", "--o"), ["--out"])
        self.assertEqual(self.complete("report", "configs/cornstarch-e"), [EXAMPLE])
        self.assertEqual(self.complete("data", "in"), ["inspect"])
        self.assertEqual(self.complete("modules", "--family", "ll"), ["llama"])

    def test_keys_of_an_encoder(self):
        self.assertEqual(self.complete("--config", "x", "--set", "model.encoders.vision.parallel.s"),
                         ["model.encoders.vision.parallel.sp=", "model.encoders.vision.parallel.stages="])
        self.assertEqual(self.complete("--config", "x", "--set", "model.encoders.my_ear.f"),
                         ["model.encoders.my_ear.family=", "model.encoders.my_ear.feature_layer=",
                          "model.encoders.my_ear.feature_select=",
                          "model.encoders.my_ear.feature_norm="])

    def test_values_of_keys(self):
        for words, offered in ((["precision", "=", "bf"], ["bf16", "bf16_pure"]),
                               (["device", "="], ["cpu", "cuda"]),
                               (["batch.packing", "=", ""], ["none", "microbatch", "first_fit"]),
                               (["data.shuffle", "=", ""], ["true", "false"]),
                               (["model.llm.family", "=", "lla"], ["llama"]),
                               (["model.encoders.vision.family", "=", "clip"], ["clip_vision_model"]),
                               (["model.encoders.vision.parallel.mode", "=", "ring"], ["ring_attn", "ring"]),
                               (["data.tokenizer", "=", "configs/cornstarch-e"], [EXAMPLE]),
                               (["data.train[0].path", "=", "configs/cornstarch-e"], [EXAMPLE]),
                               (["steps", "=", ""], [])):
            with self.subTest(words):
                self.assertEqual(self.complete("train", "--set", *words), offered)

    def test_in_a_shell_that_a_person_types_into(self):
        main, other = open_terminal()
        fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 150, 0, 0))
        shell = subprocess.Popen(["bash", "--norc", "--noprofile", "-i"], stdin=other, stdout=other, stderr=other, cwd=ROOT,
                                 env=environment({"TERM": "dumb", "PS1": "> ", "INPUTRC": "/dev/null"}),
                                 start_new_session=True)
        os.close(other)
        self.addCleanup(lambda: (shell.kill(), shell.wait(), os.close(main)))
        seen = ""

        def type_until(keys, expected):
            nonlocal seen
            seen = ""
            os.write(main, keys.encode())
            end = time.monotonic() + 30
            while not re.search(expected, seen):
                self.assertLess(time.monotonic(), end, f"{keys!r}: {seen!r} lacks {expected!r}")
                if select.select([main], [], [], 0.2)[0]:
                    seen += os.read(main, 65536).decode()

        type_until(f"source <({program} completion bash); echo rea''dy\n", "ready")
        type_until("cornstarch-train pl\t--wor\t27 --form\tj\t", r"plan --world-size 27 --format json ")
        type_until("\x15cornstarch-train --set prec\tbf16_\t", r"--set precision=bf16_pure ")
        type_until("\x15cornstarch-train --config=configs/cornstarch-e\t", rf"--config={re.escape(EXAMPLE)} ")
        type_until("\x15cornstarch-train --set sharding=\t\t", r"none +zero1 +zero3")
        type_until("\x15cornstarch-train --set model.encoders.ear.fam\twh\t", r"model\.encoders\.ear\.family=whisper ")

    def test_unknown_shell(self):
        self.expect(run("completion", "zsh"), 2, "", "error: shell: expected bash, got 'zsh'\n"
                                                     "  help: see cornstarch-train completion --help\n")
        self.expect(run("completion"), 2, "", "error: which shell? bash is the one we know\n"
                                              "  help: cornstarch-train completion bash\n")


WORKER = """#!/usr/bin/env bash
echo "pid $$"
echo "words $*"
cat <&"$2"
"""


class Train(Case):
    """With a worker that says what it was given."""

    # Of the example, an LLM that any machine has the memory for.
    SMALL = {"hidden_size: 2048": "hidden_size: 64", "intermediate_size: 8192": "intermediate_size: 128"}

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / "bin").mkdir()
        self.binary = self.folder / "bin" / "cornstarch-train"
        shutil.copy(program, self.binary)
        self.run_dir = self.folder / "run"
        text = (ROOT / EXAMPLE).read_text(encoding="utf-8")
        for written, smaller in self.SMALL.items():
            self.assertIn(written, text)
            text = text.replace(written, smaller)
        self.small = self.folder / "my run.yaml"
        self.small.write_text(text, encoding="utf-8")
        shutil.copytree(ROOT / "configs" / "example", self.folder / "example")

    def add_worker(self, place="bin"):
        (self.folder / place).mkdir(exist_ok=True)
        worker = self.folder / place / "cornstarch-worker"
        worker.write_text(WORKER, encoding="ascii")
        worker.chmod(worker.stat().st_mode | stat.S_IXUSR)

    def train(self, *args, env=None):
        return run("--config", self.small, "--set", f"run_dir={self.run_dir}", "--layout", "single", *args, env=env,
                   binary=self.binary)

    def test_the_worker_gets_the_resolved_config_in_the_same_process(self):
        self.add_worker()
        process = subprocess.Popen(
            [self.binary, "train", "--config", self.small, "--layout", "single", "--set", f"run_dir={self.run_dir}",
             "--set", "steps=700"], stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment())
        out = process.communicate(timeout=60)[0]
        self.assertEqual(process.returncode, 0)
        pid, words, config = out.split("\n", 2)
        self.assertEqual(pid, f"pid {process.pid}")
        self.assertRegex(words, r"\Awords --config-fd \d+ --said-fd \d+\Z")
        resolved = self.folder / "resolved.yaml"
        resolved.write_text(config, encoding="utf-8")
        for line in ("steps: 700", "layout: single", f"run_dir: {self.run_dir}"):
            self.assertIn(line, config.replace('"', ""))
        self.expect(run("validate", "--config", resolved, cwd="/"), 0, f"{resolved}: valid\n", "")

    def test_what_else_the_worker_is_told(self):
        self.add_worker("libexec")
        outcome = self.train("--local-ranks", 2, "--overwrite")
        self.assertEqual(outcome.code, 0)
        self.assertRegex(outcome.out.splitlines()[1], r"\Awords --config-fd \d+ --said-fd \d+ --local-ranks 2 --overwrite\Z")

    def test_home_and_variables_in_paths(self):
        self.add_worker()
        home = {"HOME": str(self.folder), "RUNS": "my runs"}
        outcome = self.train("--set", "run_dir=~/a${RUNS}$$1", env=home)
        self.assertEqual(outcome.code, 0)
        self.assertIn(f'\nrun_dir: "{self.folder}/amy runs$$1"\n', outcome.out)
        self.expect(self.train("--set", "run_dir=${NO_SUCH_FOLDER}/a"), 2, "",
                    "--set:1:9: error: 'run_dir': the variable NO_SUCH_FOLDER is not set [bad_path]\n"
                    "    1 | run_dir=${NO_SUCH_FOLDER}/a\n"
                    "      |         ^~~~~~~~~~~~~~~~~\n"
                    "  help: set it, or write a default: ${NO_SUCH_FOLDER:-folder}; $$ stands for a dollar\n"
                    "1 error\n")
        outcome = self.train("--set", "run_dir=${NO_SUCH_FOLDER:-~}/b", env=home)
        self.assertIn(f"\nrun_dir: {self.folder}/b\n", outcome.out.replace('"', ""))

    def test_missing_worker(self):
        self.expect(self.train(), 71, "",
                    f"error: cornstarch-worker, which does the training, is not there; looked for {self.folder}/bin/"
                    f"cornstarch-worker and {self.folder}/libexec/cornstarch-worker\n"
                    "  help: build it (CORNSTARCH_WITH_TORCH=ON) and keep it beside cornstarch-train\n")

    @staticmethod
    def openmpi(rank, size=2):
        return {"OMPI_COMM_WORLD_RANK": str(rank), "OMPI_COMM_WORLD_SIZE": str(size),
                "OMPI_COMM_WORLD_LOCAL_RANK": str(rank), "OMPI_COMM_WORLD_LOCAL_SIZE": str(size)}

    def test_only_rank_0_speaks(self):
        self.add_worker()
        outcome = self.train("--set", "sed=1", env=self.openmpi(0))
        self.assertEqual(outcome.code, 2)
        self.assertIn("did you mean 'seed'?", outcome.err)
        self.expect(self.train("--set", "sed=1", env=self.openmpi(1)), 2, "", "")
        separate = ("train", "--config", EXAMPLE, "--set", "model.llm.parallel.sp=1")
        self.expect(run(*separate, env=self.openmpi(0)), 78, "",
                    "error: world size 2 is not a multiple of the 15 ranks of one replica\n"
                    "  help: start 15 ranks\n")
        self.expect(run(*separate, env=self.openmpi(1)), 78, "", "")

    def test_one_process_where_many_are_wanted(self):
        self.add_worker()
        config = self.small
        words = ["train", "--config", config, "--set", "optimizer.lr=0.1"]
        command = f"{self.binary} train --config '{config}' --set optimizer.lr=0.1"
        problem = "error: one process was started, but a replica of this run has 27 ranks\n"
        processes = f"  help: as processes: mpirun -n 27 {command}\n"
        threads = f"        as threads: {command} --local-ranks 27\n"
        self.expect(run(*words, binary=self.binary), 78, "",
                    problem + processes + threads + f"        on one rank: {command} --layout single\n")
        self.expect(run(*words, "--layout", "separate", binary=self.binary), 78, "",
                    (problem + processes + threads).replace("=0.1", "=0.1 --layout separate"))
        # Each of the two that need no mpirun works.
        outcome = run(*words, "--local-ranks", "27", binary=self.binary)
        self.assertEqual((outcome.code, outcome.err), (0, ""))
        outcome = run(*words, "--layout", "single", binary=self.binary)
        self.assertEqual((outcome.code, outcome.err), (0, ""))
        self.expect(run(*words, "--local-ranks", 4, binary=self.binary), 78, "",
                    "error: world size 4 is not a multiple of the 27 ranks of one replica\n  help: start 27 ranks\n")

    def test_steps_to_trace(self):
        self.add_worker()
        self.assertIn(" --trace 198 200\n", self.train("--trace", "198..200", "--set", "steps=200").out)
        for traced, problem in (
                ("201", "--trace: '201' goes beyond the last step of the run, 200\n  help: the run has the steps 1..200"),
                ("198..201", "--trace: '198..201' goes beyond the last step of the run, 200\n"
                             "  help: the run has the steps 1..200"),
                ("0", "--trace: '0' is no step and no range of steps\n"
                      "  help: steps count from 1: --trace 10, or --trace 10..12")):
            with self.subTest(traced):
                self.expect(self.train("--trace", traced, "--set", "steps=200"), 2, "", f"error: {problem}\n")

    def test_env_shows_launcher_host_and_program(self):
        alone = run("env").out
        self.assertRegex(alone, r"^cornstarch-train [0-9.]+\n")
        self.assertIn("  launcher       none: one process\n", alone)
        self.assertRegex(alone, r"\n  host           \S+, [0-9]+ cores\n  memory         [0-9.]+ GiB available")
        self.assertRegex(alone, r"\n  worker         \S")
        many = run("env", env={"RANK": "3", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2",
                               "MASTER_ADDR": "node1", "MASTER_PORT": "29500"}).out
        self.assertIn("  launcher       torchrun: rank 3 of 8, the 2. of 2 on this host\n", many)
        self.assertIn("  ranks meet     on GPUs at node1, the first free port of 29500, 29501", many)
        broken = run("env", env={"RANK": "9", "WORLD_SIZE": "8"}).out
        self.assertRegex(broken, r"\n  launcher       .*RANK")

    def test_launch_environment(self):
        self.expect(self.train("--local-ranks", 2, env=self.openmpi(0)), 2, "",
                    "error: --local-ranks makes threads of one process, but openmpi started 2 processes\n"
                    "  help: leave out --local-ranks, or start one process\n")
        outcome = self.train(env={"OMPI_COMM_WORLD_RANK": "x", "OMPI_COMM_WORLD_SIZE": "2"})
        self.assertEqual((outcome.code, outcome.out), (69, ""))

    def test_selftest_tells_the_worker_what_to_test(self):
        self.add_worker()
        for given, told in (
                ((), "--device cpu --format text"),
                (("--local-ranks", 3, "--size", 1000, "--deadline", 5, "--format", "json"),
                 "--device cpu --format json --local-ranks 3 --size 1000 --deadline 5")):
            with self.subTest(given):
                outcome = run("selftest", *given, binary=self.binary)
                self.assertEqual(outcome.out.splitlines()[1], f"words --selftest {told}")

    def test_selftest_refuses_what_cannot_be(self):
        threads = ("error: --local-ranks makes threads of one process, but openmpi started 2 processes\n"
                   "  help: leave out --local-ranks, or start one process\n")
        self.expect(run("selftest", "--local-ranks", 2, env=self.openmpi(0)), 2, "", threads)
        self.expect(run("selftest", "--size", 0), 2, "",
                    "error: --size: expected a whole number from 1 up, got '0'\n"
                    "  help: see cornstarch-train selftest --help\n")
        self.assertEqual(run("selftest", "--device", "gpu").code, 2)
        if "none: built for CPUs only" in run("--version").out:
            problem = "this build has no CUDA: it knows CPUs only"
            remedy = "leave out --device cuda, or build with cmake --preset cuda"
        else:
            problem = "--local-ranks makes threads of one process, but --device cuda wants a process for each GPU"
            remedy = "start the ranks with mpirun, srun or torchrun"
        words = ("selftest", "--device", "cuda", "--local-ranks", 2)
        self.expect(run(*words), 2, "", f"error: {problem}\n  help: {remedy}\n")
        if "no CUDA" in problem:  # said once
            self.expect(run(*words[:3], env=self.openmpi(0)), 2, "", f"error: {problem}\n  help: {remedy}\n")
            self.expect(run(*words[:3], env=self.openmpi(1)), 2, "", "")

    def test_a_gpu_wants_a_build_for_it_and_a_process_of_its_own(self):
        outcome = run("train", "--config", EXAMPLE, "--layout", "single", "--local-ranks", 2, "--set", "device=cuda")
        self.assertEqual((outcome.code, outcome.out), (2, ""))
        self.assertIn("--set:1:8: error: --local-ranks makes threads of one process, but device: cuda wants a process for "
                      "each GPU [unsupported]\n", outcome.err)
        without = "--set:1:8: error: this build has no CUDA: it trains on CPUs only [unsupported]\n"
        self.assertEqual(without in outcome.err, "none: built for CPUs only" in run("--version").out)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    program = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main(verbosity=1)
