"""The demo's data: readable files, and an evaluation that training has not seen."""

import json
import math
import random
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import unittest
import wave
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts" / "demo-data"))
sys.dont_write_bytecode = True

import conversations  # noqa: E402
import jpeg  # noqa: E402
import pictures  # noqa: E402
import shards  # noqa: E402
import sounds  # noqa: E402
import tokenizer  # noqa: E402


class Pictures(unittest.TestCase):
    def test_digits(self):
        digits = pictures.read_digits(ROOT / "scripts" / "demo-data" / "digits.csv.gz")
        self.assertEqual(len(digits), 1797)
        self.assertEqual(digits[0], (0, digits[0][1]))
        self.assertEqual(digits[0][1][0], [0, 0, 5, 13, 9, 1, 0, 0])

    def test_upright_drawing_keeps_the_ink(self):
        digit = [[0] * 8 for _ in range(8)]
        digit[3][4] = 16
        rows = pictures.draw(digit)
        self.assertEqual((len(rows), len(rows[0])), (32, 32))
        brightest = max((value, y, x) for y, row in enumerate(rows) for x, value in enumerate(row))
        self.assertTrue(12 <= brightest[1] < 16 and 16 <= brightest[2] < 20, brightest)
        self.assertAlmostEqual(sum(map(sum, rows)) / 255, 16, delta=0.5)

    def test_png_reads_back(self):
        rows = [bytes([1, 2, 3]), bytes([4, 5, 255])]
        data = pictures.png(rows)
        self.assertEqual(data[:8], b"\x89PNG\r\n\x1a\n")
        self.assertEqual(struct.unpack(">II", data[16:24]), (3, 2))
        at = data.index(b"IDAT")
        size = struct.unpack(">I", data[at - 4 : at])[0]
        body = data[at + 4 : at + 4 + size]
        self.assertEqual(zlib.decompress(body), b"\0" + rows[0] + b"\0" + rows[1])
        crc = struct.unpack(">I", data[at + 4 + size : at + 8 + size])[0]
        self.assertEqual(crc, zlib.crc32(b"IDAT" + body))
        self.assertEqual(pictures.rows_of(data), rows)

    def test_jpeg(self):
        self.assertEqual(jpeg.ZIGZAG[:8] + jpeg.ZIGZAG[-2:], [0, 1, 8, 16, 9, 2, 3, 10, 62, 63])
        self.assertEqual((jpeg.DC_CODES[11], jpeg.AC_CODES[0xF0], jpeg.AC_CODES[0xFA]), ("111111110", "11111111001", "1" * 15 + "0"))
        self.assertEqual([jpeg.bits_of(v) for v in (0, 1, -1, 5, -5)], [(0, ""), (1, "1"), (1, "0"), (3, "101"), (3, "010")])
        # 16 blocks whose mean does not change: each "00", no difference, and "1010", the end.
        grey = jpeg.jpeg([bytes([128]) * 32] * 32)
        self.assertEqual(grey[:4] + grey[-2:], b"\xff\xd8\xff\xe0\xff\xd9")
        self.assertTrue(grey.endswith(b"\0\x3f\0" + int("001010" * 16, 2).to_bytes(12, "big") + b"\xff\xd9"))
        # A cosine is one coefficient: 1/4 * 1/sqrt(2) * 8 rows * 127 * 4.
        wave_row = bytes(round(128 + 127 * math.cos((2 * x + 1) * math.pi / 16)) for x in range(8))
        coefficients = jpeg.quantized([[v - 128 for v in wave_row]] * 8, [1] * 64)
        self.assertAlmostEqual(coefficients[1], 718.4, delta=4)
        self.assertEqual([i for i, value in enumerate(coefficients) if abs(value) > 4], [1])


class Sounds(unittest.TestCase):
    def test_resampling_keeps_a_tone(self):
        tone = [math.sin(2 * math.pi * 1000 * n / 22050) for n in range(22050)]
        out = sounds.resample(tone, 22050)
        self.assertEqual(len(out), 16000)
        wrong = max(abs(out[n] - math.sin(2 * math.pi * 1000 * n / 16000)) for n in range(100, 15900))
        self.assertLess(wrong, 0.01)

    def test_resampling_removes_what_16_khz_cannot_carry(self):
        tone = [math.sin(2 * math.pi * 10000 * n / 22050) for n in range(22050)]
        self.assertLess(max(map(abs, sounds.resample(tone, 22050)[100:15900])), 0.05)

    def test_held_out_voices_are_new(self):
        self.assertEqual(set(sounds.SPEAKERS) & set(sounds.HELD_OUT_SPEAKERS), set())


class Tokenizer(unittest.TestCase):
    def test_every_word_is_one_piece(self):
        content = tokenizer.tokenizer_json(conversations.sentences(), 400)
        vocab = content["model"]["vocab"]
        self.assertEqual((vocab["<pad>"], vocab["</s>"]), (0, 1))
        self.assertEqual(sorted(vocab.values()), list(range(len(vocab))))
        for word in conversations.WORDS:
            self.assertIn(word, vocab)
            self.assertIn("Ġ" + word, vocab)

    def test_vocabulary_is_bounded(self):
        with self.assertRaisesRegex(SystemExit, "pieces, more than its vocabulary of 300"):
            tokenizer.tokenizer_json(conversations.sentences(), 300)


@unittest.skipUnless(shutil.which("espeak-ng"), "no espeak-ng here")
class Data(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        cls.demo = Path(cls.scratch.name, "demo")
        cls.make()

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    @classmethod
    def make(cls):
        command = [sys.executable, str(ROOT / "scripts" / "make-demo-data"), str(cls.demo)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def samples(self, name):
        return [json.loads(line) for line in (self.demo / name).read_text().splitlines()]

    def media(self, name, kind):
        return {
            path
            for sample in self.samples(name)
            for path in sample.get(kind + "s", [sample[kind]] if kind in sample else [])
        }

    def test_second_time_does_nothing(self):
        self.assertEqual(self.make(), f"{self.demo}: the demo's data is up to date\n")

    def test_evaluation_is_unseen(self):
        digit = lambda path: path.split("/")[1].split("-")[0]  # noqa: E731
        seen = {digit(path) for path in self.media("train.jsonl", "image")}
        held_out = {digit(path) for path in self.media("eval.jsonl", "image")}
        self.assertGreater(len(held_out), 150)
        self.assertEqual(seen & held_out, set())
        self.assertEqual(self.media("train.jsonl", "audio") & self.media("eval.jsonl", "audio"), set())

    def test_answers_and_media_agree(self):
        random.seed(1)
        digits = pictures.read_digits(ROOT / "scripts" / "demo-data" / "digits.csv.gz")
        for sample in random.sample(self.samples("eval.jsonl"), 50):
            answer = sample["conversations"][1]["value"].split(" and ")
            if "image" in sample:
                number = int(sample["image"].split("/")[1].split("-")[0])
                self.assertEqual(conversations.WORDS[digits[number][0]], answer.pop(0))
            if "audio" in sample:
                self.assertEqual(conversations.WORDS[int(sample["audio"].split("-")[2])], answer.pop(0))
            self.assertEqual(answer, [])

    def test_shards_hold_the_same_samples(self):
        with tarfile.open(self.demo / "shards" / "train-001.tar") as tar:
            members = {member.name: tar.extractfile(member).read() for member in tar}
        for number, sample in enumerate(self.samples("train.jsonl")[1000:1040]):
            packed = json.loads(members[f"{number:06}.json"])["messages"]
            self.assertEqual([turn["role"] for turn in packed], ["user", "assistant"])
            self.assertEqual(packed[1]["content"], sample["conversations"][1]["value"])
            marks = {"text": lambda part: part["text"], "image_url": lambda _: "<image>", "audio_url": lambda _: "<audio>"}
            self.assertEqual("".join(marks[part["type"]](part) for part in packed[0]["content"]), sample["conversations"][0]["value"])
            for file in sample.get("audios", [sample["audio"]] if "audio" in sample else []):
                self.assertEqual(members[f"{number:06}.0.wav"], (self.demo / file).read_bytes())
            if "image" in sample:
                drawn = pictures.rows_of((self.demo / sample["image"]).read_bytes())
                self.assertEqual(members[f"{number:06}.0.jpg"], jpeg.jpeg(drawn))

    def test_recordings_fit_one_second(self):
        for path in self.media("eval.jsonl", "audio"):
            with wave.open(str(self.demo / path)) as file:
                self.assertEqual((file.getframerate(), file.getnchannels()), (16000, 1))
                self.assertTrue(3000 < file.getnframes() <= 16000, path)


if __name__ == "__main__":
    unittest.main()
