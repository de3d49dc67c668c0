"""The benchmark's data: random pictures, random words, and a tokenizer that makes one token of each word, so that every
sample fills its sequence to the last token and none is padding."""

import json
import random
import struct
import sys
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "scripts" / "demo-data"))

from tokenizer import byte_letters  # noqa: E402

SPECIAL = ["<pad>", "</s>"]
SYLLABLES = [c + v for c in "bcdfghjklmnpqrstvwxyz" for v in "aeiou"]


def words_and_tokenizer(vocab_size):
    """Words of two syllables with the space before them. Only a consonant and the vowel after it, a space and a
    syllable, and two syllables that make a word are ever merged: no text but the words themselves is one token."""
    space = byte_letters()[ord(" ")]
    merges = [(s[0], s[1]) for s in SYLLABLES] + [(space, s) for s in SYLLABLES]
    pieces = [*SPECIAL, *byte_letters().values(), *("".join(pair) for pair in merges)]
    pairs = [(a, b) for a in SYLLABLES for b in SYLLABLES]
    random.Random(1).shuffle(pairs)
    pairs = pairs[: vocab_size - len(pieces)]
    merges += [(space + a, b) for a, b in pairs]
    pieces += [space + a + b for a, b in pairs]
    assert len(set(pieces)) == vocab_size
    return [" " + a + b for a, b in pairs], tokenizer_json(pieces, merges)


def tokenizer_json(pieces, merges):
    added = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": at, "content": piece, **added} for at, piece in enumerate(SPECIAL)],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {piece: at for at, piece in enumerate(pieces)},
            "merges": [list(pair) for pair in merges],
        },
    }


def png(width, height, rgb):
    """An RGB picture as PNG, its rows unfiltered."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = b"".join(b"\0" + rgb[at : at + 3 * width] for at in range(0, len(rgb), 3 * width))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")
    )


def picture(rng, size):
    """Coloured squares under noise: as expensive to decode as a photograph, roughly."""
    squares = [rng.randbytes(3) for _ in range(64)]
    noise = rng.randbytes(3 * size * size)
    return bytes(
        (squares[(y * 8 // size) * 8 + x * 8 // size][c] * 7 + noise[(y * size + x) * 3 + c]) // 8
        for y in range(size)
        for x in range(size)
        for c in range(3)
    )


def sample(rng, words, question, answer, image):
    def text(count):
        return "".join(rng.choices(words, k=count))

    human = ("<image>" if image else "") + text(question)
    said = [{"from": "human", "value": human}, {"from": "gpt", "value": text(answer)}]
    return {"conversations": said, **({"image": image} if image else {})}


def write_samples(path, rng, words, shape, features, images):
    """One picture a sample if there are `images`; the rest of the sequence is question, newline, answer, end."""
    question = shape["question"]
    answer = shape["length"] - (features if images else 0) - question - 2
    samples = [
        sample(rng, words, question, answer, images[at % len(images)] if images else None)
        for at in range(shape["samples"])
    ]
    path.write_text("".join(json.dumps(s) + "\n" for s in samples))


def make(folder, shape):
    """`shape`: vocab_size, length (tokens of a sample), samples, question (tokens), image_size, patch_size."""
    stamp = folder / ".made-from"
    content = json.dumps(shape, sort_keys=True) + Path(__file__).read_text()
    if stamp.is_file() and stamp.read_text() == content:
        return
    rng = random.Random(2)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    images = [f"images/{at:02}.png" for at in range(shape["samples"])]
    for name in images:
        size = shape["image_size"]
        (folder / name).write_bytes(png(size, size, picture(rng, size)))
    words, tokenizer = words_and_tokenizer(shape["vocab_size"])
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    features = (shape["image_size"] // shape["patch_size"]) ** 2
    write_samples(folder / "pictures.jsonl", rng, words, shape, features, images)
    write_samples(folder / "text.jsonl", rng, words, shape, features, [])
    stamp.write_text(content)
