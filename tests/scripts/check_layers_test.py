"""scripts/check_layers.py finds every kind of breach, and nothing in a clean house."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ORDER = "foreach(room base config plan)\nendforeach()\nforeach(room comm nn)\nendforeach()\n"


class CheckLayers(unittest.TestCase):
    def check(self, files):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in {"lib/CMakeLists.txt": ORDER, **files}.items():
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            command = [sys.executable, str(ROOT / "scripts" / "check_layers.py"), folder]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        lines = done.stdout.splitlines()
        self.assertEqual(lines[-1], f"check_layers.py: {len(files)} files, {len(lines) - 1} problems")
        self.assertEqual(done.returncode, 1 if len(lines) > 1 else 0, done.stderr)
        return lines[:-1]

    def test_clean_house(self):
        clean = {
            "lib/plan/src/a.cpp": '#include "cornstarch/base/a.h"\n#include "cornstarch/plan/a.h"\n#include <vector>\n',
            "lib/nn/src/a.cpp": '#include "cornstarch/comm/a.h"\n#include <ATen/core/Tensor.h>\n',
            "lib/base/src/log.cpp": "#include <spdlog/spdlog.h>\n",
            "apps/cornstarch-train/main.cpp": '#include <CLI/CLI.hpp>\n#include "cornstarch/plan/a.h"\n',
        }
        self.assertEqual(self.check(clean), [])

    def test_upward_include(self):
        self.assertEqual(
            self.check({"lib/config/src/a.cpp": '\n#include "cornstarch/plan/a.h"\n'}),
            ["lib/config/src/a.cpp:2: config includes cornstarch/plan/a.h, but stands above plan"],
        )

    def test_unknown_rooms(self):
        self.assertEqual(
            self.check({"lib/plan/src/a.cpp": '#include "cornstarch/attic/a.h"\n', "lib/attic/src/b.cpp": "#include <map>\n"}),
            [
                "lib/attic/src/b.cpp:1: lib/attic is not in the order of lib/CMakeLists.txt",
                "lib/plan/src/a.cpp:1: cornstarch/attic/a.h: there is no room attic",
            ],
        )

    def test_torch_line(self):
        self.assertEqual(
            self.check(
                {
                    "lib/plan/include/cornstarch/plan/a.h": "#include <c10/core/Device.h>\n",
                    "lib/nn/src/a.cpp": "#include <torch/torch.h>\n",
                    "apps/cornstarch-train/main.cpp": '#include "cornstarch/nn/a.h"\n',
                }
            ),
            [
                "lib/nn/src/a.cpp:1: torch/torch.h is included; take narrow ATen headers",
                "lib/plan/include/cornstarch/plan/a.h:1: c10/core/Device.h above the torch line",
                "apps/cornstarch-train/main.cpp:1: cornstarch/nn/a.h below the torch line, where cornstarch-train "
                "must not reach",
            ],
        )

    def test_libraries_in_their_places(self):
        self.assertEqual(
            self.check(
                {
                    "lib/base/include/cornstarch/base/a.h": "#include <nlohmann/json.hpp>\n",
                    "lib/base/src/b.cpp": "#include <spdlog/spdlog.h>\n",
                    "lib/plan/src/c.cpp": "# include <yaml-cpp/yaml.h>\n",
                }
            ),
            [
                "lib/base/include/cornstarch/base/a.h:1: nlohmann/json.hpp in a public header; keep it in src/",
                "lib/base/src/b.cpp:1: spdlog/spdlog.h may be included in lib/base/src/log.cpp only",
                "lib/plan/src/c.cpp:1: yaml-cpp/yaml.h may be included in lib/config/src/ only",
            ],
        )

    def test_lane_numbers(self):
        problem = "a lane made of a number; lanes have names in comm (comm::Lane, lane_of_seam)"
        self.assertEqual(
            self.check(
                {
                    "lib/comm/src/a.cpp": "return Lane{number};\n",
                    "lib/nn/src/a.cpp": "send(x, 1, comm::Lane::context);  // no Lane{3}\nsend(x, 1, Lane{3});\n",
                    "apps/cornstarch-worker/main.cpp": "\nsend(x, static_cast<comm::Lane>(tag));\n",
                    "tests/unit/comm/a_test.cpp": "send(x, 1, Lane{3});\n",
                }
            ),
            [f"lib/nn/src/a.cpp:2: {problem}", f"apps/cornstarch-worker/main.cpp:2: {problem}"],
        )

    def test_long_file(self):
        self.assertEqual(self.check({"lib/base/src/a.cpp": "\n" * 800}), [])
        self.assertEqual(
            self.check({"lib/base/src/a.cpp": "\n" * 801}),
            ["lib/base/src/a.cpp:801: 801 lines, the most is 800: split it by what its parts know"],
        )


if __name__ == "__main__":
    unittest.main()
