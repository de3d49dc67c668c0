"""Writes tests/golden/dataio: tokenizers, pictures, recordings, and what Hugging Face makes of them.

Needs transformers, tokenizers, torch, numpy and pillow 11.3 to 12.1 (later ones resize some pictures otherwise); run
from the root of the repository:

    python tests/golden/make_dataio.py

The versions that made what is there are in versions.json.

Arrays are float32, little-endian, row-major, in .bin files beside an index in JSON.
"""

import ctypes
import json
import math
import struct
import wave
import zlib
from pathlib import Path

import numpy
import PIL
import transformers
from PIL import Image, features
from PIL.PngImagePlugin import PngInfo
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers import __version__ as tokenizers_version
from transformers import PreTrainedTokenizerFast, WhisperFeatureExtractor
from transformers.image_utils import load_image
from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil, smart_resize

OUT = Path(__file__).parent / "dataio"

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")

# ---- tokenizers ------------------------------------------------------------------------------------------------


def pieces_of_text():
    """Short strings with something odd in each."""
    return [
        "", " ", "  ", "a", "Hello, world!", " Hello", "hello  world", "trailing ", "trailing   ", "\n", "\n\n", " \n ",
        "tab\there", "\r\n", "line\r\nline", "It's we're I'll they'd I'M YOU'RE 'S", "don't can't 'tis", "'\u017f \u212a",
        "0", "12", "123", "1234", "1234567890", "3.14", "1,000,000", "v2.0-rc1", "\u0664\u0665\u0666", "\u00bd \u00b2 \u2167",
        "caf\u00e9", "cafe\u0301", "\u00c5ngstr\u00f6m", "A\u030angstro\u0308m", "na\u00efve fa\u00e7ade", "\ufb01ne \u01c6", "\u1e9b\u0323",
        "\u4f60\u597d\uff0c\u4e16\u754c\uff01", "\u3053\u3093\u306b\u3061\u306f", "\uc548\ub155\ud558\uc138\uc694", "\u1112\u1161\u11ab", "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645", "\u05e9\u05dc\u05d5\u05dd",
        "\u0928\u092e\u0938\u094d\u0924\u0947", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35", "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440", "\u0393\u03b5\u03b9\u03ac \u03c3\u03bf\u03c5", "\U0001f600", "\U0001f468\u200d\U0001f469\u200d\U0001f467 family", "\U0001f1e9\U0001f1ea",
        "\u2764\ufe0f", "\U00020000\U0001d518", "\u00a0nbsp\u00a0", "a\u2003b\u2009c\u3000d", "a\u180eb", "\u0085x\u0085 y", "\u2028 \u2029",
        "\u200bzero\u200bwidth", "\ufeffbom", "\x00nul\x01", "\x7f", "\u00ad", "\ufffd", "\U0010ffff",
        "x = [1, 2, {'a': b}]", "for (int i = 0; i < n; ++i) {\n\treturn;\n}", "https://example.org/?q=a&b=c#d", "e-mail@example.org",
        "!!!???...", "--- === ***", "\u201cquoted\u201d \u2014 \u2018so\u2019", "50% of $100 \u2248 \u20ac46", "\u2200x \u2208 \u211d: x\u00b2 \u2265 0",
        "CamelCaseWord snake_case_word kebab-case", "ALL CAPS", "MiXeD", "aaaaaaaaaaaaaaaaaaaaaaaa", "abababababababab",
        "     five", "five     ", "a     b", "\t\t\tx", " \t \n \t ", "\n\n\n\nparagraph\n\n", "ends with newline\n",
        "<|endoftext|>", "a<|endoftext|>b", "<|endoftext|><|endoftext|>", "a <|endoftext|> b", "<|endoftext", "<s>hi</s>", "</s>",
        "<image>", "x<image>y", "x <image> y", "<image><image>", "<pad><pad>", "[one]", "a[one]b", "a [one] b", "[one]!", "[one]\u00e9",
        "a  [strip]  b", "[strip]", "  [strip]\n\nz", "caf\u00e9<caf\u00e9>x", "cafe\u0301<cafe\u0301>x", "<|a|><|a|>b<|a|",
        "what is 7 plus 3?", "The answer is seven and three.", "What digit is written?\n", "seven", " seven", "Seven",
    ]  # fmt: skip


def mixed_strings(pieces, count):
    """Strings of several pieces, always the same."""
    state = 12345
    made = []
    for _ in range(count):
        parts = []
        for _ in range(5):
            state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
            parts.append(pieces[(state >> 33) % len(pieces)])
        made.append(["", " ", "\n"][state % 3].join(parts))
    return made


def trained(pre_tokenizer, normalizer, corpus, ignore_merges, added):
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = pre_tokenizer
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        corpus,
        trainers.BpeTrainer(
            vocab_size=600,
            show_progress=False,
            special_tokens=["<pad>", "</s>", "<|endoftext|>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )
    tokenizer.add_tokens(added)
    return tokenizer


def tokenizers(corpus):
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)

    def split(pattern, behavior="isolated", invert=False):
        return pre_tokenizers.Split(Regex(pattern), behavior, invert)

    added = [
        AddedToken("<image>", normalized=False),
        AddedToken("[one]", single_word=True, normalized=False),
        AddedToken("[strip]", lstrip=True, rstrip=True, normalized=False),
        AddedToken("<caf\u00e9>", normalized=True),
        AddedToken("<|a|>", normalized=False, special=True),
        AddedToken("<|a|><|a|>", normalized=False, special=True),
    ]
    llama3 = pre_tokenizers.Sequence([split(LLAMA3), byte_level])
    qwen2 = pre_tokenizers.Sequence([split(QWEN2), byte_level])
    digits = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=True)]
    )
    removed = pre_tokenizers.Sequence([split(LLAMA3, "removed", True), byte_level])
    yield "gpt2", trained(pre_tokenizers.ByteLevel(add_prefix_space=False), None, corpus, False, added), True
    yield "llama3", trained(llama3, None, corpus, True, added), False
    yield "qwen2", trained(qwen2, normalizers.NFC(), corpus, False, added), False
    yield "digits", trained(digits, normalizers.NFKC(), corpus, False, added), False
    yield "removed", trained(removed, normalizers.NFD(), corpus, False, added), False


def write_cases(name, content, strings):
    """A tokenizer.json, and what becomes of strings."""
    text = json.dumps(content)
    tokenizer = Tokenizer.from_str(text)
    (OUT / f"tokenizer_{name}.json").write_text(text + "\n")
    ids = [tokenizer.encode(s, add_special_tokens=False).ids for s in strings]
    cases = {
        "strings": strings,
        "ids": ids,
        "decoded": [tokenizer.decode(i, skip_special_tokens=False) for i in ids],
        # Cut in the middle of characters, without special tokens.
        "decoded_tails": [tokenizer.decode(i[1:], skip_special_tokens=True) for i in ids],
    }
    (OUT / f"tokenizer_{name}_cases.json").write_text(json.dumps(cases, separators=(",", ":")) + "\n")


def make_tokenizers():
    pieces = pieces_of_text()
    strings = pieces + mixed_strings(pieces, 200)
    for name, tokenizer, merges_as_text in tokenizers(strings + [s.lower() for s in strings]):
        content = json.loads(tokenizer.to_str())
        if merges_as_text:  # as files of before 2024 have them
            content["model"]["merges"] = [" ".join(pair) for pair in content["model"]["merges"]]
        write_cases(name, content, strings)


def sentence_piece_model(corpus, byte_fallback):
    """As SentencePiece lays them out: <unk>, <s>, </s>, the bytes, then what was learnt of few letters."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.train_from_iterator(corpus, trainers.BpeTrainer(vocab_size=400, limit_alphabet=70, show_progress=False))
    learnt = json.loads(tokenizer.to_str())["model"]
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256 * byte_fallback)]
    tokens += [token for token in sorted(learnt["vocab"], key=learnt["vocab"].get) if token not in tokens]
    options = {"unk_token": "<unk>", "fuse_unk": byte_fallback, "byte_fallback": byte_fallback}
    vocabulary = {token: i for i, token in enumerate(tokens)}
    return {"type": "BPE", "dropout": None, **options, "vocab": vocabulary, "merges": learnt["merges"]}


def sentence_piece_tokenizers(corpus):
    """Llama 2's old and new form, Mistral's, Gemma's, and what else their parts may say."""
    prepend, replace = {"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    spaces = {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}
    strip = {"type": "Strip", "content": " ", "start": 1, "stop": 0}
    to_text = [spaces, {"type": "ByteFallback"}, {"type": "Fuse"}]

    def sequence(key, steps):
        return {"type": "Sequence", key: steps}

    def metaspace(**options):
        return {"type": "Metaspace", "replacement": "▁", **options}

    def tokenizer(normalizer, pre_tokenizer, decoder, added=(), byte_fallback=True, **options):
        model = {**sentence_piece_model(corpus, byte_fallback), **options}
        added = [AddedToken(t, normalized=False, special=True) for t in ("<unk>", "<s>", "</s>")] + list(added)
        next_id, listed = len(model["vocab"]), []
        for token in added:
            listed.append({"id": model["vocab"].get(token.content, next_id), **token.__getstate__()})
            next_id += token.content not in model["vocab"]
        return {"version": "1.0", "added_tokens": listed, "normalizer": normalizer, "pre_tokenizer": pre_tokenizer,
                "post_processor": None, "decoder": decoder, "model": model}  # fmt: skip

    odd = [
        AddedToken("[one]", single_word=True, normalized=False),
        AddedToken("[strip]", lstrip=True, rstrip=True, normalized=False),
        AddedToken("<|a|>", rstrip=True, normalized=False, special=True),
        AddedToken("<image>", normalized=False),
        AddedToken("seven", normalized=True),
    ]
    runs = [AddedToken("<image>", normalized=False)]
    runs += [AddedToken("\n" * n, normalized=False) for n in range(2, 5)] + [AddedToken("▁▁▁", normalized=False)]
    legacy = sequence("normalizers", [prepend, replace])
    with_strip = sequence("decoders", [*to_text, strip])
    yield "llama2", tokenizer(legacy, None, with_strip, odd)
    first = metaspace(prepend_scheme="first", split=False)
    yield "first", tokenizer(None, first, with_strip, odd)
    old = metaspace(add_prefix_space=True)
    yield "always", tokenizer(None, old, old, odd)
    never = metaspace(prepend_scheme="never", split=True)
    yield "never", tokenizer(None, never, never, odd, ignore_merges=True)
    gemma_split = {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}
    yield "gemma", tokenizer(replace, gemma_split, sequence("decoders", to_text), runs)
    yield "unknown", tokenizer(legacy, None, with_strip, odd, byte_fallback=False)
    yield "fused", tokenizer(legacy, None, None, odd, byte_fallback=False, fuse_unk=True)
    digits = {"type": "Split", "pattern": {"Regex": r"\p{N}"}, "behavior": "MergedWithNext", "invert": False}
    marks = {"type": "Split", "pattern": {"Regex": r"\p{P}"}, "behavior": "Contiguous", "invert": False}
    words = sequence("pretokenizers", [digits, marks, first])
    starts = {"type": "Strip", "content": "e", "start": 1, "stop": 0}  # `stop` lets tokenizers 0.23 panic
    yield "splits", tokenizer(None, words, starts, odd)


def make_sentence_piece():
    pieces = pieces_of_text() + ["<0x0A>", "▁", " ▁ ", "a▁b", "<s> a</s>b", "\n\n\na", "   three", "[one] [strip] <|a|>  x"]
    strings = pieces + mixed_strings(pieces, 60)
    for name, content in sentence_piece_tokenizers(strings + [s.lower() for s in strings]):
        write_cases(name, content, strings)


# ---- chat templates --------------------------------------------------------------------------------------------

VICUNA_SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)
# As published with the models; GENERATION stands around what the assistant says.
CHAT_TEMPLATES = {
    "llama2": (
        "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = "
        "messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}"
        "{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
        "{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\\n' + system_message + "
        "'\\n<</SYS>>\\n\\n' + message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}"
        "{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}"
        "{% elif message['role'] == 'assistant' %}GENERATION{{ ' '  + content.strip() + ' ' + eos_token }}END{% endif %}"
        "{% endfor %}"
    ),
    "llama3": (
        "{% set loop_messages = messages %}{% for message in loop_messages %}{% set head = '<|start_header_id|>' + "
        "message['role'] + '<|end_header_id|>\\n\\n' %}{% set content = message['content'] | trim + '<|eot_id|>' %}"
        "{% if loop.index0 == 0 %}{% set head = bos_token + head %}{% endif %}{{ head }}{% if message['role'] == "
        "'assistant' %}GENERATION{{ content }}END{% else %}{{ content }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"
    ),
    "chatml": (
        "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}{% if message['role'] == 'assistant' %}"
        "GENERATION{{ message['content'] + '<|im_end|>' }}END{% else %}{{ message['content'] + '<|im_end|>' }}{% endif %}"
        "{{ '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
    ),
    "vicuna": (
        "{% if messages[0]['role'] == 'system' %}{% set rest = messages[1:] %}{{ messages[0]['content'] + ' ' }}"
        '{% else %}{% set rest = messages %}{{ "' + VICUNA_SYSTEM + ' " }}{% endif %}'
        "{% for message in rest %}{% if message['role'] == 'user' %}{{ 'USER: ' + message['content'] + ' ' }}{% else %}"
        "{{ 'ASSISTANT:' }}GENERATION{{ ' ' + message['content'] + eos_token }}END{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
    ),
}


def llava_v1(messages):
    """LLaVA's own words for it: Conversation.get_prompt with SeparatorStyle.TWO."""
    system = messages[0]["content"] if messages[0]["role"] == "system" else VICUNA_SYSTEM
    text, separators = system + " ", [" ", "</s>"]
    for i, message in enumerate(m for m in messages if m["role"] != "system"):
        text += {"user": "USER", "assistant": "ASSISTANT"}[message["role"]] + ": " + message["content"] + separators[i % 2]
    return text


def conversations():
    def turns(*texts, system=None):
        roles = ["user", "assistant"] * len(texts)
        made = [{"role": role, "content": text} for role, text in zip(roles, texts)]
        return ([{"role": "system", "content": system}] if system is not None else []) + made

    return [
        turns("What digit is written?", "seven"),
        turns("<image>\nWhat digit is written?", "The answer is seven."),
        turns("what is 7 plus 3?", "The answer is ten.", "and <image>?", "seven", system="You are brief."),
        turns("  spaces around \n", "\u00a0 and around the answer\t\n", "\n", " "),
        turns("a</s>b<|im_end|>c<|eot_id|>d<s>", "e</s>f", "<image><image>", "caf\u00e9 \U0001f600", system=" s "),
        turns("\u4f60\u597d", "\u041f\u0440\u0438\u0432\u0435\u0442", "still open"),
    ]


def chat_cases(chat, kind):
    """Texts, ids, and which of them the assistant says."""
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(OUT / f"tokenizer_{kind}.json"))
    tokenizer.bos_token, tokenizer.eos_token = ("<s>", "</s>") if kind != "chat" else ("<|begin_of_text|>", "<|end_of_text|>")
    marked = CHAT_TEMPLATES[chat].replace("GENERATION", "{% generation %}").replace("END", "{% endgeneration %}")
    plain = CHAT_TEMPLATES[chat].replace("GENERATION", "").replace("END", "")
    front = [tokenizer.bos_token_id] if chat == "vicuna" else []
    for messages in conversations():
        asks = messages[-1]["role"] == "user"
        text = tokenizer.apply_chat_template(messages, chat_template=plain, tokenize=False, add_generation_prompt=asks)
        assert chat != "vicuna" or asks or kind == "chat" or text == llava_v1(messages)
        done = tokenizer.apply_chat_template(
            messages, chat_template=marked, tokenize=True, return_dict=True, return_assistant_tokens_mask=True,
            add_generation_prompt=asks,
        )  # fmt: skip
        ids = tokenizer(text, add_special_tokens=False).input_ids
        assert done["input_ids"] == ids
        yield {"template": chat, "tokenizer": kind, "begin": tokenizer.bos_token, "end": tokenizer.eos_token,
               "image": tokenizer.convert_tokens_to_ids("<image>"), "asks": asks, "messages": messages, "text": text,
               "ids": front + ids, "learnt": [0] * len(front) + done["assistant_masks"]}  # fmt: skip


def make_chat():
    """A byte-level tokenizer with everybody's tokens, and what the templates make of conversations."""
    content = json.loads((OUT / "tokenizer_llama3.json").read_text())
    next_id = max(token["id"] for token in content["added_tokens"]) + 1
    for name in ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>",
                 "<|im_start|>", "<|im_end|>"):  # fmt: skip
        content["added_tokens"].append({**content["added_tokens"][0], "id": next_id, "content": name})
        next_id += 1
    (OUT / "tokenizer_chat.json").write_text(json.dumps(content) + "\n")
    pairs = [("vicuna", "llama2"), ("vicuna", "first"), ("vicuna", "gemma"), ("llama2", "llama2"), ("llama2", "first"),
             ("llama3", "chat"), ("chatml", "chat"), ("vicuna", "chat"), ("llama2", "chat")]  # fmt: skip
    cases = [case for chat, kind in pairs for case in chat_cases(chat, kind)]
    (OUT / "chat.json").write_text(json.dumps(cases, separators=(",", ":")) + "\n")


# ---- pictures --------------------------------------------------------------------------------------------------


def waves(width, height, channels, top=255):
    """A picture with smooth parts, edges and noise."""
    y, x = numpy.mgrid[0:height, 0:width]
    planes = []
    for c in range(channels):
        plane = 0.5 + 0.5 * numpy.sin(x * (0.31 + 0.2 * c) + y * 0.17 * (c + 1))
        plane[(x // 5 + y // 7 + c) % 4 == 0] = c % 2
        plane[(x * 7919 + y * 104729 + c * 31) % 11 == 0] *= 0.5
        planes.append(plane * top)
    return numpy.round(numpy.stack(planes, -1)).astype(numpy.uint16 if top > 255 else numpy.uint8)


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def write_png(path, pixels, bit_depth, color_type, extra=b""):
    """What PIL does not write: 16-bit colours, few-bit greys, chunks such as tRNS for them."""
    height, width = pixels.shape[:2]
    rows = []
    for row in pixels.reshape(height, -1):
        if bit_depth == 16:
            rows.append(b"\0" + row.astype(">u2").tobytes())
        elif bit_depth == 8:
            rows.append(b"\0" + row.astype("u1").tobytes())
        else:
            bits = numpy.unpackbits(row.astype("u1")[:, None], axis=1)[:, 8 - bit_depth :].reshape(-1)
            rows.append(b"\0" + numpy.packbits(bits).tobytes())
    head = struct.pack(">IIBBBBB", width, height, bit_depth, color_type, 0, 0, 0)
    data = chunk(b"IHDR", head) + extra + chunk(b"IDAT", zlib.compress(b"".join(rows))) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)


def write_interlaced(path, pixels):
    """Adam7, 8-bit RGB."""
    height, width = pixels.shape[:2]
    rows = []
    for x0, y0, dx, dy in [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]:
        for row in pixels[y0::dy, x0::dx]:
            if row.size:
                rows.append(b"\0" + row.tobytes())
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)
    data = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"".join(rows))) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)


def make_pictures():
    folder = OUT / "pictures"
    folder.mkdir(exist_ok=True)
    rgb = waves(41, 29, 3)
    Image.fromarray(rgb).save(folder / "rgb.png")
    Image.fromarray(waves(23, 37, 4)).save(folder / "rgba.png")
    Image.fromarray(waves(19, 19, 1)[..., 0]).save(folder / "grey.png")
    Image.fromarray(waves(12, 9, 2), "LA").save(folder / "grey_alpha.png")
    palette = Image.fromarray(waves(33, 21, 3)).quantize(13)
    palette.save(folder / "palette.png")
    palette.save(folder / "palette_transparent.png", transparency=3)
    Image.fromarray(waves(30, 11, 1)[..., 0] > 127).save(folder / "bits.png")
    write_png(folder / "grey2.png", waves(17, 10, 1)[..., 0] // 64, 2, 0)
    write_png(folder / "grey4_transparent.png", waves(17, 10, 1)[..., 0] // 16, 4, 0, chunk(b"tRNS", b"\0\3"))
    grey16 = waves(16, 14, 1, 65535)[..., 0]
    grey16[2] = grey16[2] // 300
    write_png(folder / "grey16.png", grey16, 16, 0)
    write_png(folder / "rgb16.png", waves(15, 13, 3, 65535), 16, 2)
    write_png(folder / "rgba16.png", waves(15, 13, 4, 65535), 16, 6)
    write_png(folder / "rgb_transparent.png", rgb[:9, :8], 8, 2, chunk(b"tRNS", b"\0\x10\0\x20\0\x30"))
    write_png(folder / "gamma.png", rgb[:9, :8], 8, 2, chunk(b"gAMA", struct.pack(">I", 100000)))
    write_interlaced(folder / "interlaced.png", waves(21, 13, 3))

    decoded = {}
    for path in sorted(folder.glob("*.png")):
        image = Image.open(path).convert("RGB")
        decoded[path.name] = {"width": image.width, "height": image.height, "rgb": list(image.tobytes())}
    (OUT / "pictures.json").write_text(json.dumps(decoded, separators=(",", ":")) + "\n")

    resized = []
    for name, width, height, filter_number in [
        ("rgb.png", 14, 10, 3), ("rgb.png", 14, 10, 2), ("rgb.png", 64, 48, 3), ("rgb.png", 64, 48, 2), ("rgb.png", 41, 7, 3),
        ("rgb.png", 5, 29, 2), ("rgba.png", 1, 1, 3), ("interlaced.png", 100, 3, 3), ("bits.png", 8, 8, 3), ("grey.png", 20, 18, 3),
    ]:  # fmt: skip
        image = Image.open(folder / name).convert("RGB").resize((width, height), filter_number)
        resized.append({"picture": name, "width": width, "height": height, "filter": filter_number, "rgb": list(image.tobytes())})
    (OUT / "resized.json").write_text(json.dumps(resized, separators=(",", ":")) + "\n")


# ---- pictures of other formats -----------------------------------------------------------------------------------


def jpeg(name, image, **options):
    image.save(OUT / "photos" / name, "JPEG", **options)


def without_segment(data, marker):
    """The JPEG without its segments of a kind."""
    kept, at = data[:2], 2
    while data[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        kept += b"" if data[at + 1] == marker else data[at:end]
        at = end
    return kept + data[at:]


def exif_of(orientation, order):
    """One entry, as a camera writes it; `order`: "<" or ">"."""
    head = b"II*\0" if order == "<" else b"MM\0*"
    entry = struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    return b"Exif\0\0" + head + struct.pack(order + "IH", 8, 1) + entry + struct.pack(order + "I", 0)


def xmp_of(orientation):
    return f'<x:xmpmeta><rdf:Description tiff:Make="x" tiff:Orientation="{orientation}"/></x:xmpmeta>'.encode()


def make_jpegs():
    folder = OUT / "photos"
    rgb = Image.fromarray(waves(41, 29, 3))
    for name, sampling in [("jpeg_444", "4:4:4"), ("jpeg_422", "4:2:2"), ("jpeg_420", "4:2:0")]:
        jpeg(f"{name}.jpg", rgb, subsampling=sampling, quality=85)
    jpeg("jpeg_large.jpg", Image.fromarray(waves(150, 101, 3)), quality=40)
    jpeg("jpeg_progressive.jpg", rgb, progressive=True)
    jpeg("jpeg_restarts.jpg", rgb, restart_marker_blocks=2)
    jpeg("jpeg_grey.jpg", Image.fromarray(waves(19, 19, 1)[..., 0]))
    jpeg("jpeg_rgb.jpg", rgb, keep_rgb=True)
    cmyk = Image.fromarray(waves(41, 29, 4), "CMYK")
    jpeg("jpeg_cmyk.jpg", cmyk)
    data = (folder / "jpeg_cmyk.jpg").read_bytes()
    (folder / "jpeg_cmyk_plain.jpg").write_bytes(without_segment(data, 0xEE))
    at = data.index(b"Adobe") + 11  # the transform: 2 says YCCK
    (folder / "jpeg_ycck.jpg").write_bytes(data[:at] + b"\x02" + data[at + 1 :])
    small = Image.fromarray(waves(9, 6, 3))
    for orientation in range(1, 10):  # 9 means nothing
        exif = exif_of(orientation, "<>"[orientation % 2])
        jpeg(f"jpeg_turned{orientation}.jpg", small, exif=exif, quality=95, subsampling=0)
    jpeg("jpeg_xmp.jpg", small, xmp=xmp_of(6))
    jpeg("jpeg_exif_xmp.jpg", small, exif=exif_of(3, "<"), xmp=xmp_of(6))


def make_turned_pngs():
    small = Image.fromarray(waves(9, 6, 3))
    small.save(OUT / "photos" / "png_turned.png", exif=exif_of(8, ">"))
    data = (OUT / "photos" / "png_turned.png").read_bytes()
    at = data.index(b"eXIf") - 4
    end = at + 12 + int.from_bytes(data[at : at + 4], "big")
    (OUT / "photos" / "png_turned_behind.png").write_bytes(data[:at] + data[end:-12] + data[at:end] + data[-12:])
    xmp = chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp_of(5))
    (OUT / "photos" / "png_xmp.png").write_bytes(data[:at] + xmp + data[end:])


def make_webps():
    folder = OUT / "photos"
    rgb, rgba = Image.fromarray(waves(41, 29, 3)), Image.fromarray(waves(23, 37, 4))
    rgb.save(folder / "webp_lossy.webp", quality=60)
    rgb.save(folder / "webp_lossless.webp", lossless=True)
    rgba.save(folder / "webp_lossy_alpha.webp", quality=60)
    rgba.save(folder / "webp_lossless_alpha.webp", lossless=True, exact=True)
    rgb.save(folder / "webp_turned.webp", exif=exif_of(6, "<"), xmp=xmp_of(3))
    rgb.save(folder / "webp_xmp.webp", xmp=xmp_of(7))
    framed = numpy.zeros((37, 23, 4), "u1")
    framed[11:30, 4:15] = waves(11, 19, 4)
    framed[11:30, 4:15, 3] |= 1
    frames = [Image.fromarray(framed), rgba]
    frames[0].save(folder / "webp_animated.webp", save_all=True, append_images=frames[1:], quality=60, minimize_size=True)
    frames[1].save(folder / "webp_animated_lossless.webp", save_all=True, append_images=frames[:1], lossless=True)


def lzw(indices):
    """GIF's compression without any: the dictionary is emptied before codes grow."""
    bits, at, codes = 0, 0, []
    for start in range(0, len(indices), 250):
        codes += [256, *indices[start : start + 250]]
    for code in [*codes, 257]:
        bits |= code << at
        at += 9
    data = bits.to_bytes((at + 7) // 8, "little")
    blocks = b"".join(bytes([len(data[i : i + 255])]) + data[i : i + 255] for i in range(0, len(data), 255))
    return b"\x08" + blocks + b"\0"


def write_gif(name, screen, place, indices, global_colors=b"", local_colors=b"", transparent=None):
    """One frame; colours: 3 bytes each, a power of two of them."""
    bits_of = [max(0, (len(c) // 3).bit_length() - 1) for c in (global_colors, local_colors)]
    flags = [0x80 | (b - 1) if b else 0 for b in bits_of]
    data = b"GIF89a" + struct.pack("<HHBBB", *screen, flags[0], 5, 0) + global_colors
    data += b"!\xfe\x03hey\0"
    if transparent is not None:
        data += struct.pack("<BBBBHBB", 0x21, 0xF9, 4, 1, 10, transparent, 0)
    height, width = indices.shape
    data += b"," + struct.pack("<HHHHB", *place, width, height, flags[1]) + local_colors + lzw(indices.reshape(-1).tolist())
    (OUT / "photos" / name).write_bytes(data + b";")


def make_gifs():
    folder = OUT / "photos"
    palette = Image.fromarray(waves(33, 21, 3)).quantize(13)
    palette.save(folder / "gif_plain.gif", interlace=0)
    palette.save(folder / "gif_interlaced.gif", interlace=1)
    frames = [Image.fromarray(waves(33, 21, 3)).quantize(n) for n in (5, 60)]
    frames[0].save(folder / "gif_animated.gif", save_all=True, append_images=frames[1:], transparency=2)
    Image.fromarray(waves(19, 19, 1)[..., 0]).save(folder / "gif_grey.gif")
    indices = (waves(11, 9, 1)[..., 0] % 8).astype(int)
    colors = bytes(range(40, 64))
    write_gif("gif_offset.gif", (17, 14), (4, 3), indices, colors)
    write_gif("gif_offset_transparent.gif", (17, 14), (4, 3), indices, colors, bytes(range(100, 124)), 6)
    write_gif("gif_beyond_screen.gif", (6, 14), (4, 3), indices, colors)
    write_gif("gif_no_colors.gif", (11, 9), (0, 0), indices * 30)
    write_gif("gif_few_colors.gif", (11, 9), (0, 0), indices * 4, colors)


def write_bmp(name, head, bits, compression, height, body, extra=b"", width=7):
    """`extra`: masks, palette."""
    if head == 12:
        form = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        form = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, 0, 0, 0, 0, 0)
    begin = 14 + len(form) + len(extra)
    (OUT / "photos" / name).write_bytes(b"BM" + struct.pack("<IHHI", begin + len(body), 0, 0, begin) + form + extra + body)


def make_bmps():
    folder = OUT / "photos"
    rgb = waves(7, 5, 3)
    Image.fromarray(waves(30, 11, 1)[..., 0] > 127).save(folder / "bmp_bits.bmp")
    Image.fromarray(waves(19, 19, 1)[..., 0]).save(folder / "bmp_grey.bmp")
    Image.fromarray(waves(33, 21, 3)).quantize(13).save(folder / "bmp_palette.bmp")
    Image.fromarray(waves(41, 29, 3)).save(folder / "bmp_rgb.bmp")
    Image.fromarray(waves(23, 17, 4)).save(folder / "bmp_rgba.bmp")
    colors = bytes(range(48))
    four = b"".join(bytes([(y * 16 + x) * 37 % 256 for x in range(4)]) for y in range(5))
    write_bmp("bmp_four_bits.bmp", 40, 4, 0, 5, four, b"".join(colors[i : i + 3] + b"\0" for i in range(0, 48, 3)))
    write_bmp("bmp_os2.bmp", 12, 4, 0, 5, four, colors)
    sixteen = numpy.pad(waves(7, 5, 1, 65535)[..., 0], ((0, 0), (0, 1))).astype("<u2").tobytes()
    write_bmp("bmp_555.bmp", 40, 16, 0, 5, sixteen)
    write_bmp("bmp_565.bmp", 40, 16, 3, 5, sixteen, struct.pack("<III", 0xF800, 0x7E0, 0x1F))
    write_bmp("bmp_top_down.bmp", 40, 24, 0, -5, b"".join(row.tobytes() + b"\0\0\0" for row in rgb))
    wide = numpy.pad(rgb, ((0, 0), (0, 0), (0, 1))).tobytes()
    write_bmp("bmp_masks.bmp", 40, 32, 3, 5, wide, struct.pack("<III", 0xFF000000, 0xFF0000, 0xFF00))


def make_photos():
    """What transformers' load_image makes of each, in one file of bytes."""
    (OUT / "photos").mkdir(exist_ok=True)
    make_jpegs()
    make_turned_pngs()
    make_webps()
    make_gifs()
    make_bmps()
    index, pixels = {}, b""
    for path in sorted((OUT / "photos").iterdir()):
        image = load_image(str(path))
        index[path.name] = {"width": image.width, "height": image.height, "begin": len(pixels)}
        pixels += image.tobytes()
    (OUT / "photos.bin").write_bytes(pixels)
    (OUT / "photos.json").write_text(json.dumps(index, indent=1) + "\n")


def make_bomb():
    """A text of 8 MB that is 8 KB in the file."""
    small = Image.fromarray(waves(9, 6, 3))
    info = PngInfo()
    info.add_text("bomb", "\0" * (8 << 20), zip=True)
    small.save(OUT / "bomb.png", pnginfo=info)


def write_versions():
    """Of what made everything in the folder."""
    names = {"libjpeg-turbo": features.version("libjpeg_turbo"), "libwebp": features.version("webp")}
    names |= {"pillow": PIL.__version__, "transformers": transformers.__version__, "tokenizers": tokenizers_version}
    (OUT / "versions.json").write_text(json.dumps(names | {"numpy": numpy.__version__}, indent=1, sort_keys=True) + "\n")


def make_clip():
    half = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.25, 0.125]}
    cases = [
        ("default_wide", "rgb.png", None, {"size": {"shortest_edge": 24}, "crop_size": {"height": 24, "width": 24}}),
        ("default_tall", "rgba.png", None, {"size": {"shortest_edge": 16}, "crop_size": {"height": 16, "width": 16}}),
        ("numbers", "rgb.png", {"size": 20, "crop_size": 18}, None),
        ("bilinear", "grey.png", {"size": {"height": 15, "width": 11}, "resample": 2, "do_center_crop": False, **half}, None),
        ("pad", "grey_alpha.png", {"do_resize": False, "crop_size": {"height": 14, "width": 15}}, None),
        ("pad_and_cut", "rgb.png", {"do_resize": False, "crop_size": {"height": 34, "width": 16}}, None),
        ("bytes", "palette.png", {"size": 13, "crop_size": 12, "do_normalize": False, "do_rescale": False}, None),
        ("factor", "bits.png", {"size": 9, "crop_size": 9, "rescale_factor": 0.007, "do_normalize": False}, None),
        ("no_rescale", "rgb.png", {"size": 9, "crop_size": 9, "do_rescale": False, **half}, None),
        ("bit", "rgb.png", {"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 25},
                            "crop_size": {"height": 22, "width": 22}, "image_mean": [0.485, 0.456, 0.406]}, None),
    ]  # fmt: skip
    index = []
    for name, picture, config, defaults in cases:
        family = BitImageProcessorPil if name == "bit" else CLIPImageProcessorPil
        processor = family(**(config or defaults))
        image = Image.open(OUT / "pictures" / picture)
        values = processor(image, return_tensors="np")["pixel_values"][0].astype("<f4")
        (OUT / f"clip_{name}.bin").write_bytes(values.tobytes())
        text = "" if config is None else processor.to_json_string() if name == "bytes" else json.dumps(config)
        index.append({"name": name, "picture": picture, "preprocessor_json": text, "shape": list(values.shape)})
    (OUT / "clip.json").write_text(json.dumps(index, indent=1) + "\n")


def make_patches():
    """Patches of pictures, and how many there are of pictures of many sizes."""
    half = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.25, 0.125]}
    small = {"patch_size": 4, "temporal_patch_size": 2, "merge_size": 2}
    pixels = {"size": {"shortest_edge": 256, "longest_edge": 1024}}
    cases = [
        ("default", "photos/jpeg_rgb.jpg", None),
        ("as_it_is", "photos/jpeg_rgb.jpg", {**small, **pixels}),
        ("shrunk", "photos/jpeg_large.jpg", {**small, **pixels, **half}),
        ("grown", "photos/jpeg_turned6.jpg", {**small, **pixels}),
        ("limits", "pictures/rgba.png", {**small, "min_pixels": 512, "max_pixels": 640}),
        ("lower_limit", "pictures/grey.png", {**small, **pixels, "min_pixels": 900}),
        ("one_by_one", "pictures/rgb.png", {"patch_size": 5, "temporal_patch_size": 1, "merge_size": 1, **pixels}),
        ("three", "pictures/rgb16.png", {"patch_size": 3, "temporal_patch_size": 3, "merge_size": 3, **pixels}),
        ("bilinear", "pictures/interlaced.png", {**small, **pixels, "resample": 2, "image_mean": 0.5, "image_std": 0.5}),
        ("bytes", "pictures/palette.png", {**small, **pixels, "do_rescale": False, "do_normalize": False}),
        ("no_resize", "pictures/grey_alpha.png", {"do_resize": False, "patch_size": 1, "merge_size": 1}),
    ]  # fmt: skip
    index = []
    for name, picture, config in cases:
        # Copies: the class changes what it is given, and its own defaults.
        given = {"size": Qwen2VLImageProcessorPil.size, **(config or {})}
        processor = Qwen2VLImageProcessorPil(**json.loads(json.dumps(given)))
        made = processor(load_image(str(OUT / picture)), return_tensors="np")
        values = made["pixel_values"].astype("<f4")
        (OUT / f"patches_{name}.bin").write_bytes(values.tobytes())
        text = "" if config is None else processor.to_json_string() if name == "bytes" else json.dumps(config)
        index.append({"name": name, "picture": picture, "preprocessor_json": text, "shape": list(values.shape)})
        index[-1]["grid"] = made["image_grid_thw"][0].tolist()
    (OUT / "patches.json").write_text(json.dumps(index, indent=1) + "\n")


def make_patch_counts():
    """[width, height, rows and columns of patches] or, where it is refused, [width, height]."""
    edges = [1, 13, 14, 15, 27, 28, 41, 42, 43, 56, 69, 70, 71, 84, 98, 126, 200, 201, 336, 999, 2800, 2801, 8000, 32768]
    index = []
    for patch, merge, least, most in [(14, 2, 3136, 1003520), (14, 2, 3136, 12845056), (16, 1, 50176, 200704), (7, 3, 1, 441)]:
        counts = []
        for width in edges:
            for height in edges:
                try:
                    h, w = smart_resize(height, width, patch * merge, least, most)
                    counts.append([width, height, h // patch, w // patch])
                except ValueError:
                    counts.append([width, height])
        index.append({"patch_size": patch, "merge_size": merge, "min_pixels": least, "max_pixels": most, "counts": counts})
    (OUT / "patch_counts.json").write_text(json.dumps(index, separators=(",", ":")) + "\n")


# ---- recordings ------------------------------------------------------------------------------------------------


def sound(seconds, rate, channels=1):
    """A rising tone with overtones and a click; the channels differ."""
    t = numpy.arange(int(seconds * rate)) / rate
    tone = 0.4 * numpy.sin(2 * math.pi * (200 + 700 * t) * t) + 0.1 * numpy.sin(2 * math.pi * 3100 * t + 1)
    tone *= 0.2 + 0.8 * numpy.sin(math.pi * t / seconds) ** 2
    tone[len(tone) // 3] += 0.5
    return numpy.stack([tone * (1 - 0.3 * c) for c in range(channels)], -1)


def write_wav(name, samples, rate, bytes_per_sample):
    path = OUT / "recordings" / name
    top = 2 ** (8 * bytes_per_sample - 1)
    whole = numpy.clip(numpy.round(samples * top), -top, top - 1).astype(numpy.int64)
    if bytes_per_sample == 1:
        body = (whole + 128).astype("u1").tobytes()
    else:
        body = b"".join(int(v).to_bytes(bytes_per_sample, "little", signed=True) for v in whole.reshape(-1))
    with wave.open(str(path), "wb") as out:
        out.setnchannels(samples.shape[1])
        out.setsampwidth(bytes_per_sample)
        out.setframerate(rate)
        out.writeframes(body)
    return (whole / top).astype(numpy.float32)


def write_float_wav(name, samples, rate):
    body = samples.astype("<f4").tobytes()
    channels = samples.shape[1]
    form = struct.pack("<HHIIHH", 3, channels, rate, rate * channels * 4, channels * 4, 32)
    content = b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", len(body)) + body
    (OUT / "recordings" / name).write_bytes(b"RIFF" + struct.pack("<I", len(content)) + content)
    return samples.astype(numpy.float32)


class SndfileInfo(ctypes.Structure):
    _fields_ = [("frames", ctypes.c_int64)] + [(n, ctypes.c_int) for n in ("rate", "channels", "format", "sections", "seekable")]


def write_with_libsndfile(name, form, samples, rate):
    """The formats that Python cannot write; `form` is libsndfile's number."""
    lib = ctypes.CDLL("libsndfile.so.1")
    lib.sf_open.restype = ctypes.c_void_p
    info = SndfileInfo(0, rate, 1, form, 0, 0)
    out = lib.sf_open(str(OUT / "recordings" / name).encode(), 0x20, ctypes.byref(info))
    assert out, name
    whole = numpy.round(samples * 32768).astype("<i2")
    lib.sf_writef_short(ctypes.c_void_p(out), whole.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(len(whole)))
    lib.sf_close(ctypes.c_void_p(out))


def make_recordings():
    (OUT / "recordings").mkdir(exist_ok=True)
    made = {
        "pcm16.wav": (write_wav("pcm16.wav", sound(0.6, 16000), 16000, 2), 16000),
        "stereo8.wav": (write_wav("stereo8.wav", sound(0.1, 16000, 2), 16000, 1), 16000),
        "pcm24.wav": (write_wav("pcm24.wav", sound(0.05, 16000), 16000, 3), 16000),
        "float.wav": (write_float_wav("float.wav", sound(0.1, 8000, 2), 8000), 8000),
    }
    index = {}
    for name, (samples, rate) in made.items():
        mono = samples.mean(axis=1, dtype=numpy.float32)
        (OUT / f"{name[:-4]}.bin").write_bytes(mono.astype("<f4").tobytes())
        index[name] = rate
    (OUT / "recordings.json").write_text(json.dumps(index) + "\n")
    tone = made["pcm16.wav"][0]
    formats = {"sound.flac": 0x170002, "vorbis.ogg": 0x200060, "opus.ogg": 0x200064, "sound.mp3": 0x230082}
    for name, form in formats.items():
        write_with_libsndfile(name, form, tone, 16000)
    return {name: samples.mean(axis=1, dtype=numpy.float32) for name, (samples, _) in made.items()}


def make_whisper(mono):
    cases = [
        ("default_second", "pcm16.wav", None, {"chunk_length": 1}),
        ("mels", "stereo8.wav", {"feature_size": 16, "chunk_length": 1}, None),
        ("cut", "pcm16.wav", {"feature_size": 20, "sampling_rate": 16000, "chunk_length": 1, "hop_length": 400, "n_fft": 1000}, None),
        ("slow", "float.wav", {"feature_size": 12, "sampling_rate": 8000, "chunk_length": 1, "n_fft": 202, "padding_value": 0.01}, None),
        ("odd", "pcm24.wav", {"feature_size": 10, "n_fft": 401, "hop_length": 170, "chunk_length": 1}, None),
    ]  # fmt: skip
    index = []
    for name, recording, config, defaults in cases:
        extractor = WhisperFeatureExtractor(**(config or defaults))
        samples = mono[recording] if name != "cut" else numpy.tile(mono[recording], 2)
        values = extractor(samples, sampling_rate=extractor.sampling_rate, return_tensors="np")["input_features"][0]
        (OUT / f"whisper_{name}.bin").write_bytes(values.astype("<f4").tobytes())
        text = "" if config is None else extractor.to_json_string() if name == "mels" else json.dumps(config)
        # The mel filters that are saved along are computed anew when the file is read.
        if text:
            text = json.dumps({k: v for k, v in json.loads(text).items() if k != "mel_filters"})
        index.append({"name": name, "recording": recording, "preprocessor_json": text, "shape": list(values.shape)})
    (OUT / "whisper.json").write_text(json.dumps(index, indent=1) + "\n")


if __name__ == "__main__":
    assert (11, 3) <= tuple(map(int, PIL.__version__.split(".")[:2])) <= (12, 1), "pillow 11.3 to 12.1 is needed"
    OUT.mkdir(exist_ok=True)
    make_tokenizers()
    make_sentence_piece()
    make_chat()
    make_pictures()
    make_photos()
    make_bomb()
    make_clip()
    make_patches()
    make_patch_counts()
    make_whisper(make_recordings())
    write_versions()
