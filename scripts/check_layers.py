#!/usr/bin/env python3
"""check_layers.py [ROOT]

Checks the house rules that a compiler does not: a room includes only rooms above it (the order of lib/CMakeLists.txt),
nothing above the torch line includes LibTorch, torch/torch.h is included nowhere, heavy libraries and matrix
products stay in their one place, lanes of messages are numbered by comm alone, only catalog and the builder ask for a
module's kind, only catalog knows model families by name and tells vision from audio, and no file grows beyond 800 lines.
Prints file:line for each breach; exit status 1 if there is one."""

import re
import sys
from pathlib import Path

SOURCES = {".h", ".cpp", ".cu", ".cuh"}
LONGEST = 800
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')
TORCH = re.compile(r"^(ATen|c10|torch|caffe2)/")

# A lane made of a number, as Lane{3} or static_cast<comm::Lane>(3).
LANE_NUMBER = re.compile(r"\bLane\s*(\{|\(|>\s*\()")

# A library and the only places (prefixes of paths) that may include it.
PLACES = [
    (re.compile(r"^spdlog/"), ["lib/base/src/log.cpp"]),
    (re.compile(r"^yaml-cpp/"), ["lib/config/src/"]),
    (re.compile(r"^CLI/"), ["apps/"]),
    (re.compile(r"^mpi\.h$"), ["lib/comm/src/mpi_module.cpp", "tests/"]),
    (re.compile(r"^openssl/"), ["lib/control/src/"]),
    (re.compile(r"^catch2/"), ["tests/support/"]),
    (re.compile(r"^ATen/ops/(linear|mm|addmm|matmul|bmm|baddbmm)\.h$"),
     ["lib/nn/src/linear.cpp", "lib/nn/src/math_attention.cpp", "tests/"]),  # the door to weights; q k^T and p v
]

CATALOG = "lib/catalog/"
# Where a module's kind decides what is built.
BUILDER = "lib/models/src/stage.cpp"
MODEL_KIND = re.compile(r"\bModelKind::(?!llm\b)(\w+)")

# Names of families that are something else: (file, name).
OTHER_NAMES = {
    ("lib/dataio/src/log_mel.cpp", "WhisperFeatureExtractor"),  # what preprocessor_config.json calls its class
}


def code_of(text):
    """C++ without comments and without strings of several words, which speak to people."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match[0]) if match[0][0] == "/" or " " in match[0] else match[0]

    return re.sub(r'"(?:\\.|[^"\\\n])*"|//[^\n]*|/\*.*?\*/', blank, text, flags=re.S)


def module_kinds(root):
    """The alternatives of ModuleBody."""
    spec = root / CATALOG / "include/cornstarch/catalog/model_spec.h"
    match = re.search(r"using ModuleBody\s*=\s*std::variant<([^>]*)>", spec.read_text()) if spec.exists() else None
    return re.findall(r"\w+", match[1]) if match else []


def family_names(root):
    """The families of catalog's table."""
    sources = sorted((root / CATALOG / "src").glob("*.cpp"))
    return [name for path in sources for name in re.findall(r'\.info = \{"(\w+)"', path.read_text())]


def room_order(root):
    """(rooms above the torch line, rooms below it), top first."""
    text = (root / "lib" / "CMakeLists.txt").read_text()
    lists = [match.split() for match in re.findall(r"foreach\(room ([^)]*)\)", text)]
    if len(lists) != 2:
        sys.exit("check_layers.py: lib/CMakeLists.txt should name the rooms in two foreach(room ...) lists")
    return lists


def includes(path):
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match = INCLUDE.match(line)
        if match:
            yield number, match[2]


class Checker:
    def __init__(self, root):
        self.root = root
        self.above, below = room_order(root)
        self.order = {room: at for at, room in enumerate(self.above + below)}
        self.problems = []
        kinds = "|".join(module_kinds(root))
        self.asks_kind = re.compile(
            rf"\b(?:holds_alternative|get_if|get)\s*<\s*(?:\w+::)*(?:{kinds or '(?!)'})\s*>|\bvisit\s*\([^;]*\bbody\b"
        )
        names = [re.escape(name) for name in family_names(root)]
        # As a word, or as the beginning of one in CamelCase.
        self.family = re.compile(
            "|".join([rf"(?<![A-Za-z0-9])(?i:{name})(?![A-Za-z0-9])|\b{name.capitalize()}[A-Z]\w*" for name in names])
            or "(?!)"
        )

    def check(self, path):
        name = path.relative_to(self.root).as_posix()
        lines = path.read_text().count("\n")
        if lines > LONGEST:
            self.say(name, lines, f"{lines} lines, the most is {LONGEST}: split it by what its parts know")
        if name.startswith(("lib/", "apps/")) and not name.startswith("lib/comm/"):
            self.check_lanes(name, path)
        if name.startswith(("lib/", "apps/")) and not name.startswith(CATALOG):
            self.check_models(name, code_of(path.read_text()))
        for number, included in includes(path):
            self.check_library(name, number, included)
            parts = name.split("/")
            if parts[0] == "lib" and len(parts) > 2:
                self.check_room(name, number, parts[1], included)
            elif parts[:2] == ["apps", "cornstarch-train"]:
                self.check_light(name, number, included)

    def check_lanes(self, name, path):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if LANE_NUMBER.search(line.split("//")[0]):
                self.say(name, number, "a lane made of a number; lanes have names in comm (comm::Lane, lane_of_seam)")

    def check_models(self, name, code):
        def found(pattern):
            for match in pattern.finditer(code):
                yield code.count("\n", 0, match.start()) + 1, match[0]

        if name != BUILDER:
            for number, _ in found(self.asks_kind):
                self.say(name, number, f"asks for a module's kind; what kinds know stands in {CATALOG}src/module_kind.cpp")
        for number, word in found(self.family):
            if (name, word) not in OTHER_NAMES:
                self.say(name, number, f"names the family '{word}'; families are known in {CATALOG} only")
        for number, word in found(MODEL_KIND):
            self.say(name, number, f"{word} outside of {CATALOG}: ask the spec what differs")

    def check_library(self, name, number, included):
        if included == "torch/torch.h":
            self.say(name, number, "torch/torch.h is included; take narrow ATen headers")
        if included.startswith("nlohmann/") and "/include/" in name and "json_fwd" not in included:
            self.say(name, number, f"{included} in a public header; keep it in src/")
        for library, places in PLACES:
            if library.match(included) and not any(name.startswith(place) for place in places):
                self.say(name, number, f"{included} may be included in {' and '.join(places)} only")

    def check_room(self, name, number, room, included):
        if room not in self.order:
            self.say(name, number, f"lib/{room} is not in the order of lib/CMakeLists.txt")
            return
        other = re.match(r"cornstarch/([^/]+)/", included)
        if other and self.order.get(other[1], -1) > self.order[room]:
            self.say(name, number, f"{room} includes {included}, but stands above {other[1]}")
        if other and other[1] not in self.order:
            self.say(name, number, f"{included}: there is no room {other[1]}")
        if room in self.above and TORCH.match(included):
            self.say(name, number, f"{included} above the torch line")

    def check_light(self, name, number, included):
        """cornstarch-train itself links nothing below the torch line."""
        other = re.match(r"cornstarch/([^/]+)/", included)
        if TORCH.match(included) or (other and other[1] not in self.above):
            self.say(name, number, f"{included} below the torch line, where cornstarch-train must not reach")

    def say(self, name, number, message):
        self.problems.append(f"{name}:{number}: {message}")


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent).resolve()
    checker = Checker(root)
    files = [
        path
        for top in ("lib", "apps", "tests")
        for path in sorted((root / top).rglob("*"))
        if path.suffix in SOURCES and path.is_file()
    ]
    if not files:
        sys.exit(f"check_layers.py: no sources in {root}")
    for path in files:
        checker.check(path)
    for problem in checker.problems:
        print(problem)
    print(f"check_layers.py: {len(files)} files, {len(checker.problems)} problems")
    return 1 if checker.problems else 0


if __name__ == "__main__":
    sys.exit(main())
