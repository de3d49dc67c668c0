#!/usr/bin/env python3
"""Writes tests/golden/dataio/tables: samples as Parquet files have them, by Hugging Face's `datasets` or by hand.

Needs PyPI's pyarrow; run from the root of the repository:

    python tests/golden/make_tables.py
"""
import json
from pathlib import Path

import pyarrow
import pyarrow.parquet

DATA = Path(__file__).parent / "dataio"
PICTURE, OTHER = ((DATA / "pictures" / name).read_bytes() for name in ("rgb.png", "palette.png"))
SOUND = (DATA / "recordings" / "pcm16.wav").read_bytes()

TEXT, FILE = pyarrow.string(), pyarrow.struct({"bytes": pyarrow.binary(), "path": pyarrow.string()})


def listed(**fields):
    return pyarrow.list_(pyarrow.struct(fields))


def messages(question, answer):
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def turns(question, answer):
    return json.dumps([{"from": "human", "value": question}, {"from": "gpt", "value": answer}])


def write(name, schema, rows, **how):
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, pyarrow.schema(schema)), DATA / "tables" / name, **how)


if __name__ == "__main__":
    (DATA / "tables").mkdir(exist_ok=True)
    # As datasets write pictures; two groups of two rows.
    write("messages.parquet", {"id": pyarrow.int64(), "messages": listed(role=TEXT, content=TEXT), "images": pyarrow.list_(FILE)}, [
        {"id": 1, "messages": messages("<image>\nWhat is it?", "seven"), "images": [{"bytes": PICTURE, "path": "seven.png"}]},
        {"id": 2, "messages": messages("<image><image>", "both"), "images": [{"bytes": PICTURE}, {"bytes": OTHER}]},
        {"id": 3, "messages": messages("Hello △", "Hi \"you\""), "images": []},
        {"id": 4, "messages": messages("<image>", "from a folder"), "images": [{"path": "b.png"}]}], row_group_size=2)
    # Content in parts, of which all have all keys; weights; zstd.
    write("parts.parquet", {"messages": listed(role=TEXT, content=listed(type=TEXT, text=TEXT), weight=pyarrow.float64()),
                            "image": FILE}, [
        {"messages": [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]},
                      {"role": "assistant", "content": [{"type": "text", "text": "a guess"}], "weight": 0.0},
                      {"role": "user", "content": [{"type": "text", "text": "Again?"}]},
                      {"role": "assistant", "content": [{"type": "text", "text": "seven"}], "weight": 1.0}],
         "image": {"bytes": PICTURE, "path": "http://there/seven.png"}}], compression="zstd")
    # Turns as JSON; a path; sound as bytes alone; a row that is broken.
    write("json.parquet", {"conversations": TEXT, "system": TEXT, "image": TEXT, "audio": pyarrow.binary()}, [
        {"conversations": turns("<image>\nWhat is it?", "seven"), "system": "Be brief.", "image": "a.png"},
        {"conversations": turns("<sound>", "a hum"), "audio": SOUND},
        {"conversations": "[{"}], compression="none")
    write("other.parquet", {"question": TEXT, "answer": TEXT}, [{"question": "What?", "answer": "That."}])
