"""scripts/check_layers.py finds every kind of breach, and nothing in a clean house."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ORDER = "foreach(room base config catalog plan dataio)\nendforeach()\nforeach(room comm nn models)\nendforeach()\n"


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

    CATALOG = {
        "lib/catalog/include/cornstarch/catalog/model_spec.h": "using ModuleBody =\n    std::variant<Conv1d, BlockSpec>;\n",
        "lib/catalog/src/whisper.cpp": '.info = {"whisper", ModelKind::audio, "x"},\nget_if<Conv1d>(&module.body);\n',
        "lib/catalog/src/gemma.cpp": '.info = {"gemma3_text", ModelKind::llm, "x"},\n',
    }

    def test_module_kinds(self):
        problem = "asks for a module's kind; what kinds know stands in lib/catalog/src/module_kind.cpp"
        self.assertEqual(
            self.check(
                {
                    **self.CATALOG,
                    "lib/models/src/stage.cpp": "std::visit(Builder{}, module.body);\n",
                    "lib/plan/src/a.cpp": "// get_if<Conv1d>\nstd::holds_alternative<catalog::BlockSpec>(module.body);\n"
                    "std::get<\n    Conv1d>(body);\nstd::get<Other>(body);\n",
                    "apps/cornstarch-train/a.cpp": "std::visit(\n    After{shape},\n    modules[0].body);\nstd::visit(Print{}, step);\n",
                    "tests/a.cpp": "get_if<Conv1d>(&module.body);\n",
                }
            ),
            [f"lib/plan/src/a.cpp:2: {problem}", f"lib/plan/src/a.cpp:3: {problem}", f"apps/cornstarch-train/a.cpp:1: {problem}"],
        )

    def test_families(self):
        problem = "; families are known in lib/catalog/ only"
        self.assertEqual(
            self.check(
                {
                    **self.CATALOG,
                    "lib/dataio/src/log_mel.cpp": '"WhisperFeatureExtractor"\n',
                    "lib/nn/src/a.cpp": '// Whisper\n/* whisper\nwhisper */ is_whisper();\n"as whisper does"\nwhispered();\n'
                    '"gemma3_text";\nWhisperStage a;\ngemma3_texts();\n',
                }
            ),
            [
                f"lib/nn/src/a.cpp:3: names the family 'whisper'{problem}",
                f"lib/nn/src/a.cpp:6: names the family 'gemma3_text'{problem}",
                f"lib/nn/src/a.cpp:7: names the family 'WhisperStage'{problem}",
            ],
        )

    def test_vision_and_audio(self):
        self.assertEqual(
            self.check(
                {
                    **self.CATALOG,
                    "lib/plan/src/a.cpp": "if (kind == ModelKind::llm) return;\nif (kind == catalog::ModelKind::vision) return;\n",
                }
            ),
            ["lib/plan/src/a.cpp:2: ModelKind::vision outside of lib/catalog/: ask the spec what differs"],
        )

    def test_long_file(self):
        self.assertEqual(self.check({"lib/base/src/a.cpp": "\n" * 800}), [])
        self.assertEqual(
            self.check({"lib/base/src/a.cpp": "\n" * 801}),
            ["lib/base/src/a.cpp:801: 801 lines, the most is 800: split it by what its parts know"],
        )


if __name__ == "__main__":
    unittest.main()
