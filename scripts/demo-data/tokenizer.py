"""A byte-level BPE tokenizer.json, its merges learnt from the demo's own sentences."""

import re
from collections import Counter

SPECIAL = ["<pad>", "</s>"]
TOKENIZER_CONFIG = {"bos_token": None, "eos_token": "</s>", "pad_token": "<pad>"}
# GPT-2's pre-tokenizer, as far as ASCII text goes.
WORDS = re.compile(r"'(?:[sdmt]|ll|ve|re)| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+")


def byte_letters():
    """GPT-2's map of the 256 bytes to printable characters."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {byte: chr(byte) for byte in plain}
    for byte in range(256):
        if byte not in letters:
            letters[byte] = chr(256 + len(letters) - len(plain))
    return letters


def learn_merges(texts):
    """Merges of the most frequent neighbours (ties: in alphabetical order) until every word is one piece."""
    letters = byte_letters()
    words = Counter(
        tuple(letters[byte] for byte in word.encode()) for text in texts for word in WORDS.findall(text)
    )
    merges = []
    while True:
        pairs = Counter()
        for word, count in words.items():
            for pair in zip(word, word[1:]):
                pairs[pair] += count
        if not pairs:
            return merges
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        words = Counter({merged(word, best): count for word, count in words.items()})


def merged(word, pair):
    out = []
    for piece in word:
        if out and (out[-1], piece) == pair:
            out[-1] += piece
        else:
            out.append(piece)
    return tuple(out)


def tokenizer_json(texts, vocab_size):
    """The file's content; `vocab_size` is checked, since the LLM's config repeats it."""
    merges = learn_merges(texts)
    pieces = [*SPECIAL, *(byte_letters()[byte] for byte in range(256)), *("".join(pair) for pair in merges)]
    vocab = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    if len(vocab) > vocab_size:
        raise SystemExit(f"the demo's tokenizer has {len(vocab)} pieces, more than its vocabulary of {vocab_size}")
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": vocab[piece],
                "content": piece,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
            for piece in SPECIAL
        ],
        "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": vocab,
            "merges": [" ".join(pair) for pair in merges],
        },
    }
