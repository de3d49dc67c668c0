#!/usr/bin/env python3
"""What becomes of good, odd and bad data, as a user sees it: data_test.py PROGRAM [unittest arguments]."""

import io
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import unittest
import wave

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "configs" / "example"
LAUNCHERS = ("OMPI_", "PMI_", "PMIX_", "SLURM_", "MPI_", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
LAYOUTS = (("--layout", "single"), ("--local-ranks", "4"))
program = ""  # absolute path, from the command line


def sample(text="Which digit?", answer="seven", **keys):
    turns = [{"from": "human", "value": text}] + ([{"from": "gpt", "value": answer}] if answer else [])
    return {"conversations": turns, **keys}


class Case(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cornstarch-data-test-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.data = self.folder / "data"
        shutil.copytree(EXAMPLE, self.data)
        (self.data / "broken.png").write_bytes((self.data / "seven.png").read_bytes()[:60])

    def write(self, name, samples):
        (self.data / name).write_text("".join(json.dumps(s) + "\n" for s in samples))

    def arguments(self, train, evaluate=None):
        files = {"train": train, "eval": evaluate}
        keys = {f"data.{key}": f"[{{path: '{self.data / name}'}}]" for key, name in files.items() if name}
        keys.setdefault("data.eval", "[]")
        keys |= {"data.tokenizer": self.data / "tokenizer.json", "run_dir": self.folder / "run", "lr_schedule.warmup_steps": 1,
                 "batch.global_size": 8, "batch.microbatch_size": 2, "eval.every": 0, "eval.generate": 0}
        return ["--config", str(ROOT / "configs" / "demo.yaml"), *(w for k, v in keys.items() for w in ("--set", f"{k}={v}"))]

    def run_program(self, *words, code=0):
        kept = {k: v for k, v in os.environ.items() if not k.startswith(LAUNCHERS)}
        done = subprocess.run([program, *words], capture_output=True, text=True, timeout=120, check=False,
                              env={**kept, "OMP_NUM_THREADS": "1"})
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout, done.stderr.replace(f"{self.data}/", "")


class Validate(Case):
    def validate(self, train, *extra, code=0):
        return self.run_program("validate", *self.arguments(train), *extra, code=code)

    def test_samples_are_read_whole(self):
        self.write("train.jsonl", [sample(), sample("<image>", image="seven.png"), sample("<image>", image="broken.png"),
                                   sample("x" * 5000)])
        out, err = self.validate("train.jsonl", code=65)
        self.assertEqual(out, "")
        self.assertIn("train.jsonl:3:1: error: 'broken.png': a broken PNG picture: the file ends early [bad_data]\n", err)
        self.assertRegex(err, r"train.jsonl:4:1: error: the sample is \d+ tokens long, 0 of them for media; "
                              r"sequence_length is \d+: nothing to learn stands in what fits \[bad_data\]\n  help: a larger batch.sequence_length, or a shorter sample\n")
        self.assertIn("2 errors\n", err)
        self.validate("train.jsonl", "--no-data")
        self.validate("train.jsonl", "--samples", "1")
        _, err = self.validate("train.jsonl", "--set", "data.on_bad_sample=skip")
        self.assertIn("train.jsonl:3:1: warning: 'broken.png': a broken PNG picture: the file ends early [bad_data]\n",
                      err.replace("[data]", "[bad_data]"))

    def test_problems_of_all_data_stand_at_their_lines(self):
        self.write("train.jsonl", [sample("<image>", image="gone.png"), sample(video="a.mp4"),
                                   {"messages": [{"role": "tool", "content": "x"}]}])
        _, err = self.validate("train.jsonl", code=66)
        self.assertEqual(err, f"""\
train.jsonl:1:1: error: 'gone.png' is not a file in '{self.data}' [bad_data]
train.jsonl:2:1: error: 'video' lists 1 files, but no encoder of the model takes video files [bad_data]
train.jsonl:3:1: error: messages[0].role is 'tool'; turns of tools are not read; allowed: human, user, system, developer, gpt, assistant, chatgpt, bing, bard, model [bad_data]
  help: media_root is the folder in which the paths of a data set begin
3 errors
""")

    def test_what_is_odd_is_said(self):
        with wave.open(str(self.data / "long.wav"), "wb") as out:
            out.setparams((1, 2, 8000, 0, "NONE", ""))
            out.writeframes(bytes(2 * 8000 * 40))
        self.write("train.jsonl", [sample(img="seven.png"), sample("<video>", answer=None),
                                   sample("<audio>", audio="long.wav"), sample("<audio>", audio="three.wav"),
                                   sample(answer="x" * 5000)])
        out, err = self.validate("train.jsonl")
        self.assertTrue(out.endswith("demo.yaml: valid\n"))
        self.assertEqual(err, """\
train.jsonl:1:1: warning: 'img' names media, but nothing reads it; keys that are read: image, images, audio, audios (1 of 5 samples; this is the first) [data]
train.jsonl:2:1: warning: '<video>' is no encoder's placeholder: it stays text (1 of 5 samples; this is the first) [data]
train.jsonl:2:1: warning: the conversation has no answer (a turn from 'gpt' or 'assistant'): nothing is learnt from it (1 of 5 samples; this is the first) [data]
train.jsonl:3:1: warning: a recording is longer than its encoder takes: the rest is cut off (1 of 5 samples that were tried; this is the first) [data]
train.jsonl:5:1: warning: the sample is longer than batch.sequence_length: its end is cut off (1 of 5 samples that were tried; this is the first) [data]
5 warnings
""")

    def test_shards_and_what_is_held_out_of_them(self):
        for number in range(3):
            with tarfile.open(self.data / f"s-{number}.tar", "w") as shard:
                for i in range(50):
                    shard.add(self.data / "seven.png", f"{number}/{i}.png")
                    text = json.dumps(sample("<image>", str(50 * number + i))).encode()
                    info = tarfile.TarInfo(f"{number}/{i}.json")
                    info.size = len(text)
                    shard.addfile(info, io.BytesIO(text))
        out, err = self.validate("s-{0..2}.tar", "--set", "eval.hold_out=0.2")
        self.assertTrue(out.endswith("demo.yaml: valid\n"), out)
        self.assertEqual(err, "")
        _, err = self.validate("s-{0..3}.tar", code=2)
        self.assertIn("error: 's-3.tar' does not exist, of 4 that 's-{0..3}.tar' names [missing_file]\n", err)
        _, err = self.validate("s-*.tar", "--set", "eval.hold_out=150", code=2)
        self.assertIn("error: eval.hold_out: 150 of 150 samples leave none to train on [bad_data]\n", err)
        _, err = self.validate("s-*.tar", "--set", "eval.hold_out=1e-6", code=65)
        self.assertIn("error: the data set has no samples: eval.hold_out is 1e-06 [bad_data]\n", err)
        with (self.data / "s-1.tar").open("r+b") as shard:
            shard.truncate(100_000 // 512 * 512)
        _, err = self.validate("s-*.tar", code=65)
        self.assertRegex(err, r"error: s-1.tar: at byte \d+: the archive ends within '1/\d+.(png|json)' \[bad_data\]\n")
        self.assertIn("  help: was it cut short? Copy it again\n", err)

    def test_files_that_are_no_data_sets(self):
        os.mkfifo(self.data / "pipe.jsonl")
        (self.data / "t.jsonl").write_bytes(b"ARROW1 and more")
        (self.data / "bomb.jsonl").write_text("{}\n{\"a\": \"" + "x" * (65 << 20) + "\"}\n")
        for name, code, wanted in (("pipe.jsonl", 74, "error: cannot read 'pipe.jsonl': it is a FIFO, not a file [bad_data]"),
                                   ("t.jsonl", 65, "error: 't.jsonl' is an Arrow file; a data set is a .jsonl file, a .json list or a .tar of samples [bad_data]"),
                                   ("bomb.jsonl", 65, "bomb.jsonl:2:1: error: a sample of more than 64 MiB, the most that is read [bad_data]")):
            _, err = self.validate(name, code=code)
            self.assertIn(wanted, err)

    def test_a_large_data_set_opens_at_once_with_its_index(self):
        line = json.dumps(sample(note="x" * 300)) + "\n"
        (self.data / "train.jsonl").write_text(line * 20000)
        self.validate("train.jsonl")
        index = self.data / ".train.jsonl.index"
        made = index.stat().st_mtime_ns
        begin = time.monotonic()
        self.validate("train.jsonl")
        self.assertLess(time.monotonic() - begin, 5)
        self.assertEqual(index.stat().st_mtime_ns, made)


class Train(Case):
    def train(self, layout, train, *extra, evaluate=None, steps=3, code=0):
        shutil.rmtree(self.folder / "run", ignore_errors=True)
        return self.run_program(*self.arguments(train, evaluate), *layout, "--set", f"steps={steps}", *extra, code=code)[1]

    def records(self):
        return [json.loads(line) for line in (self.folder / "run" / "metrics.jsonl").read_text().splitlines()]

    def test_nothing_to_learn_from_does_not_begin(self):
        self.write("silent.jsonl", [sample(answer=None)] * 8)
        self.write("broken.jsonl", [sample("<image>", image="broken.png")] * 40)
        self.write("good.jsonl", [sample()] * 8)
        for layout in LAYOUTS:
            err = self.train(layout, "silent.jsonl", code=65)
            self.assertIn("error: no conversation has an answer (a turn from 'gpt' or 'assistant')\n", err)
            for files in (("broken.jsonl", None), ("good.jsonl", "broken.jsonl")):
                err = self.train(layout, files[0], "--set", "data.on_bad_sample=skip", evaluate=files[1], code=65)
                self.assertIn("error: none of the 16 samples that were tried can be read. Most often:\n"
                              "  broken.jsonl:1: 'broken.png': a broken PNG picture: the file ends early\n"
                              "  broken.jsonl:2: 'broken.png': a broken PNG picture: the file ends early\n"
                              "  broken.jsonl:3: 'broken.png': a broken PNG picture: the file ends early\n"
                              "  and 13 more like these\n", err)
                self.assertFalse((self.folder / "run").exists())

    def test_too_much_that_is_bad_ends_the_run_on_every_rank_alike(self):
        self.write("train.jsonl", [sample("<image>", image="broken.png" if i % 4 == 1 else "seven.png") for i in range(40)])
        said = []
        for layout in LAYOUTS:
            err = self.train(layout, "train.jsonl", "--set", "data.on_bad_sample=skip", "--set", "data.shuffle=false", steps=9,
                             code=65)
            said.append(re.search(r"10 of 40 samples that were read are bad.*?more like these\n", err, re.S))
            self.assertIsNotNone(said[-1], err)
            self.assertIn(len(self.records()), (3, 4))  # a rank may end the run before rank 0 has written a step
        self.assertEqual(said[0][0], said[1][0])
        self.assertEqual(said[0][0],
                         "10 of 40 samples that were read are bad, more than data.max_bad_fraction (0.01) allows. Most often:\n"
                         "  train.jsonl:2: 'broken.png': a broken PNG picture: the file ends early\n"
                         "  train.jsonl:6: 'broken.png': a broken PNG picture: the file ends early\n"
                         "  train.jsonl:10: 'broken.png': a broken PNG picture: the file ends early\n"
                         "  and 7 more like these\n")

    def test_held_out_samples_that_are_bad_end_the_run_too(self):
        self.write("train.jsonl", [sample()] * 8)
        self.write("eval.jsonl", [sample("<image>", image="broken.png" if i % 2 else "seven.png") for i in range(10)])
        for layout in LAYOUTS:
            err = self.train(layout, "train.jsonl", "--set", "data.on_bad_sample=skip", evaluate="eval.jsonl", code=65)
            self.assertIn("5 of 10 samples that were read are bad", err)
            self.assertNotIn("eval_loss", (self.folder / "run" / "metrics.jsonl").read_text())

    def test_what_is_allowed_is_counted_and_summed_up(self):
        with wave.open(str(self.data / "long.wav"), "wb") as out:
            out.setparams((1, 2, 8000, 0, "NONE", ""))
            out.writeframes(bytes(2 * 8000 * 40))
        self.write("train.jsonl", [sample("<image>", image="broken.png"), *[sample("<audio>", audio="long.wav")] * 2,
                                   {"oops": 1}, sample(answer="x" * 5000), *[sample()] * 3])
        for layout in LAYOUTS:
            err = self.train(layout, "train.jsonl", "--set", "data.on_bad_sample=skip", "--set", "data.max_bad_fraction=0.5")
            self.assertEqual([(r["skipped_samples"], r["cut_recordings"], r["cut_texts"]) for r in self.records() if "loss" in r],
                             [(2, 2, 1)] * 3)
            self.assertEqual(err.count("skipped 6 of 24 samples that were read"), 1)
            self.assertEqual(err.count("cut 6 recordings that are longer than their encoder takes"), 1)
            self.assertEqual(err.count("cut 3 samples that are longer than batch.sequence_length"), 1)
            self.assertIn("1 of 8 samples cannot be used and will be skipped:\n"
                          "train.jsonl:4: the sample has no list 'conversations' or 'messages' of turns\n", err)

    def under_way(self, layout, data):
        """A run of many steps that has done the first."""
        shutil.rmtree(self.folder / "run", ignore_errors=True)
        process = subprocess.Popen([program, *self.arguments(data), *layout, "--set", "steps=100000"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                   env={**os.environ, "OMP_NUM_THREADS": "1"})
        self.addCleanup(process.kill)
        metrics = self.folder / "run" / "metrics.jsonl"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not (metrics.exists() and metrics.stat().st_size > 0):
            time.sleep(0.1)
        return process

    def test_a_data_set_that_is_cut_short_under_a_run_ends_it_by_name(self):
        for layout in LAYOUTS:
            self.write("train.jsonl", [sample()] * 50)
            process = self.under_way(layout, "train.jsonl")
            os.truncate(self.data / "train.jsonl", 100)
            _, errors = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 65, errors)
            self.assertIn(f"'{self.data / 'train.jsonl'}' was changed while it was in use", errors)

    def test_a_picture_that_becomes_a_pipe_under_a_run_ends_it_by_name(self):
        """Nobody writes to it: to open it would be to wait for ever."""
        self.write("train.jsonl", [sample("<image>", image="seven.png")] * 8)
        for layout in LAYOUTS:
            process = self.under_way(layout, "train.jsonl")
            picture = self.data / "seven.png"
            kept = picture.rename(self.folder / "kept.png")
            os.mkfifo(picture)
            _, errors = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 65, errors)
            self.assertRegex(errors, r"train\.jsonl:[1-8]: 'seven\.png'")
            picture.unlink()
            kept.rename(picture)


if __name__ == "__main__":
    program = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main()
