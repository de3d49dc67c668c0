"""slurm_bad_recording.py DEMO FOLDER COUNT: the first COUNT samples of the demo in FOLDER, one recording among them
no recording at all."""

import json
import shutil
import sys
from pathlib import Path

demo, folder, count = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
lines = (demo / "train.jsonl").read_text().splitlines()[:count]
last = None
for sample in map(json.loads, lines):
    for kind in ("image", "images", "audio", "audios"):
        names = sample.get(kind, [])
        for name in [names] if isinstance(names, str) else names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(demo / name, folder / name)
            last = name if kind.startswith("audio") else last
(folder / last).write_bytes(b"not a recording" * 100)
(folder / "train.jsonl").write_text("\n".join(lines) + "\n")
