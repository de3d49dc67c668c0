"""The demo's samples in OpenAI's form, packed with their media as WebDataset packs them."""

import io
import json
import re
import tarfile


def messages(sample, names):
    """A sample of conversations.py as messages; `names`: of its media by kind, in order."""
    left = {"<image>": list(names["image"]), "<audio>": list(names["audio"])}
    turns = []
    for turn in sample["conversations"]:
        if turn["from"] == "gpt":
            turns.append({"role": "assistant", "content": turn["value"]})
            continue
        content = []
        for text in filter(None, re.split("(<image>|<audio>)", turn["value"])):
            if text == "<image>":
                content.append({"type": "image_url", "image_url": {"url": left[text].pop(0)}})
            elif text == "<audio>":
                content.append({"type": "audio_url", "audio_url": {"url": left[text].pop(0)}})
            else:
                content.append({"type": "text", "text": text})
        turns.append({"role": "user", "content": content})
    return {"messages": turns}


def add(tar, name, content):
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def pack(path, samples, read):
    """`read(file)`: how the name of such a medium ends in the archive, and its bytes."""
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for number, sample in enumerate(samples):
            names, media = {"image": [], "audio": []}, []
            for kind, of_kind in names.items():
                for file in sample.get(kind + "s", [sample[kind]] if kind in sample else []):
                    ending, content = read(file)
                    of_kind.append(f"{len(of_kind)}.{ending}")
                    media.append((f"{number:06}.{of_kind[-1]}", content))
            add(tar, f"{number:06}.json", json.dumps(messages(sample, names)).encode())
            for name, content in media:
                add(tar, name, content)
