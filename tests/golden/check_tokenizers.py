#!/usr/bin/env python3
"""Checks that our tokenizer gives the ids and the text that the tokenizers package gives, at real sizes.

    .deps/bin/python tests/golden/check_tokenizers.py build/release/tests/dataio_test [LINES]

Makes tokenizer.json files of each kind from the vocabularies that PyPI's mistral-common ships (needs mistral-common,
sentencepiece and transformers, too), lets the test program encode and decode LINES (100,000) odd lines with each, and
compares every one.
"""

import base64
import json
import os
import random
import subprocess
import sys
import tempfile
import unicodedata
from pathlib import Path

import mistral_common
from make_dataio import LLAMA3, pieces_of_text
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers.convert_slow_tokenizer import bytes_to_unicode, generate_merges, import_protobuf

DATA = Path(mistral_common.__file__).parent / "data"


def sentence_piece(name):
    """Vocabulary, merges and added tokens of a SentencePiece model."""
    model = import_protobuf().ModelProto()
    model.ParseFromString((DATA / name).read_bytes())
    vocabulary = {piece.piece: i for i, piece in enumerate(model.pieces)}
    merges = generate_merges(vocabulary, [(piece.piece, piece.score) for piece in model.pieces])
    added = [AddedToken(p.piece, normalized=False, special=p.type == 3) for p in model.pieces if p.type in (2, 3, 4)]
    return vocabulary, merges, added


def tekken():
    """A byte-level vocabulary of 130,000."""
    content = json.loads((DATA / "tekken_240911.json").read_text())
    count = content["config"]["default_vocab_size"] - content["config"]["default_num_special_tokens"]
    ranks = {base64.b64decode(entry["token_bytes"]): entry["rank"] for entry in content["vocab"][:count]}
    letters = bytes_to_unicode()
    pairs = []
    for token, rank in ranks.items():
        cuts = [(token[:i], token[i:]) for i in range(1, len(token)) if token[:i] in ranks and token[i:] in ranks]
        pairs += [(rank, ranks[a], ranks[b], a, b) for a, b in cuts]

    def spell(token):
        return "".join(letters[byte] for byte in token)

    merges = [(spell(a), spell(b)) for *_, a, b in sorted(pairs)]
    return {spell(token): rank for token, rank in ranks.items()}, merges


def with_spaces(strip):
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    return decoders.Sequence(steps + ([decoders.Strip(" ", 1, 0)] if strip else []))


def made(words, normalizer, pre_tokenizer, decoder, more=(), **options):
    vocabulary, merges, added = words
    options = {"unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True, **options}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, **options))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    if pre_tokenizer is not None:
        tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoder
    tokenizer.add_tokens([*added, *more])
    return tokenizer


def kinds():
    metaspace = pre_tokenizers.Metaspace
    first, third = sentence_piece("tokenizer.model.v1"), sentence_piece("mistral_instruct_tokenizer_240323.model.v3")
    prepend = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    yield "llama2", made(first, prepend, None, with_spaces(True))
    yield "mistral", made(first, None, metaspace("▁", "first", False), with_spaces(True))
    yield "mistral3", made(third, None, metaspace("▁", "first", False), with_spaces(True))
    yield "always", made(first, None, metaspace("▁", "always", True), decoders.Metaspace("▁", "always", True))
    yield "never", made(first, None, metaspace("▁", "never", True), with_spaces(False), ignore_merges=True)
    without = {token: i for token, i in first[0].items() if not token.startswith("<0x")}
    dense = {token: i for i, token in enumerate(without)}
    unknown = (dense, first[1], first[2])
    yield "unknown", made(unknown, prepend, None, with_spaces(True))
    yield "unfused", made(unknown, prepend, None, with_spaces(True), fuse_unk=False)
    phi = [AddedToken(t, rstrip=True, normalized=False, special=True) for t in ("<|assistant|>", "<|end|>", "<|user|>")]
    odd = [AddedToken("[w]", single_word=True), AddedToken("<l>", lstrip=True, normalized=False), AddedToken("nm")]
    yield "phi3", made(first, prepend, None, with_spaces(True), phi + odd)
    runs = [AddedToken(c * n, normalized=False) for c in ("\n", "▁") for n in range(2, 32)]
    unused = [AddedToken(f"<unused{i}>", normalized=False) for i in range(6000)]
    split = pre_tokenizers.Split(" ", "merged_with_previous")
    yield "gemma", made(first, normalizers.Replace(" ", "▁"), split, with_spaces(False), runs + unused)
    words = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(LLAMA3), "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)]
    )
    special = [AddedToken(f"<|special_{i}|>", normalized=False, special=True) for i in range(256)]
    yield "tekken", made((*tekken(), special), None, words, decoders.ByteLevel(), unk_token=None, byte_fallback=False)


def lines(count, vocabulary):
    """Odd lines, the same at each call."""
    dice = random.Random(1)
    pieces = pieces_of_text()
    special = ["<s>", "</s>", "<unk>", "<0x0A>", "<0xE2>", "▁", "▁▁", "<unused7>", "<|user|>", "<|end|>", "[INST]", "[w]",
               "<l>", "nm", "\n\n", "<|special_9|>"]  # fmt: skip
    tokens = sorted(vocabulary)

    def character():
        letter = chr(dice.randrange(dice.choice([0x80, 0x80, 0x250, 0x3000, 0xA000, 0x110000])))
        # Not what is unassigned here: Unicode's versions, and so what is a letter, differ between libraries.
        return " " if unicodedata.category(letter) in ("Cn", "Cs") else letter

    def piece():
        kind = dice.randrange(8)
        if kind < 2:
            return dice.choice(pieces)
        if kind < 4:
            return dice.choice(tokens).replace("▁", dice.choice([" ", " ", "▁"]))
        if kind == 4:
            return dice.choice(special)
        if kind == 5:
            return dice.choice(" \n\t▁aé。0") * dice.randrange(1, 20)
        return "".join(character() for _ in range(dice.randrange(1, 12)))

    return [dice.choice(["", "", " "]).join(piece() for _ in range(dice.randrange(1, 12))) for _ in range(count)]


def check(name, tokenizer, count, program, folder):
    tokenizer.save(str(folder / "tokenizer.json"))
    texts = lines(count, tokenizer.get_vocab())
    with (folder / "lines").open("w") as out:
        out.writelines(json.dumps(text) + "\n" for text in texts)
    subprocess.run([program, "[encode-lines]"], check=True, env={**os.environ, "CORNSTARCH_ENCODE_DIR": str(folder)})
    ids = [encoding.ids for encoding in tokenizer.encode_batch(texts, add_special_tokens=False)]
    tails = [i[len(i) // 2 :] for i in ids]
    whole = tokenizer.decode_batch(ids, skip_special_tokens=False)
    rest = tokenizer.decode_batch(tails, skip_special_tokens=True)
    wrong, read = 0, 0
    for got, *expected in zip((folder / "encoded").open(), texts, ids, whole, rest, strict=True):
        got = json.loads(got)
        read += 1
        if [got["ids"], got["text"], got["tail"]] != expected[1:]:
            wrong += 1
            if wrong <= 3:
                print(f"{name}: {expected!r}\n  we: {got!r}")
    print(f"{name}: {read} lines, {sum(map(len, ids))} tokens, {wrong} wrong", flush=True)
    return wrong


def main():
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(any([check(name, tokenizer, count, sys.argv[1], Path(folder)) for name, tokenizer in kinds()]))


if __name__ == "__main__":
    main()
