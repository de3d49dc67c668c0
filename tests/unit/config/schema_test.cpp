#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "cornstarch/base/files.h"
#include "fixture.h"

namespace cornstarch::config::test {
namespace {

using Json = nlohmann::json;

TEST_CASE("The schema says what the loader checks") {
  const Json schema = Json::parse(json_schema());
  CHECK(schema["$schema"] == "http://json-schema.org/draft-07/schema#");
  CHECK(schema["additionalProperties"] == false);
  CHECK(schema["required"] == Json({"model", "batch", "data", "steps"}));
  const Json& properties = schema["properties"];
  CHECK(properties.size() == 22);
  CHECK(properties["layout"]["enum"] == Json({"separate", "single", nullptr}));
  CHECK(properties["layout"]["default"] == "separate");
  CHECK(properties["seed"]["maximum"] == 18446744073709551615u);
  CHECK(properties["steps"]["minimum"] == 1);
  CHECK(properties["steps"]["type"] == "integer");
  CHECK_FALSE(properties["steps"].contains("default"));
  const Json& optimizer = properties["optimizer"]["properties"];
  CHECK(optimizer["lr"]["exclusiveMinimum"] == 0.0);
  CHECK(optimizer["betas"]["minItems"] == 2);
  CHECK(optimizer["betas"]["items"]["exclusiveMaximum"] == 1.0);
  CHECK(optimizer["betas"]["default"] == Json({0.9, 0.95}));
  CHECK(
      properties["batch"]["allOf"][0]["oneOf"] ==
      Json::parse(R"([{"required": ["global_size"], "properties": {"global_size": {"not": {"type": "null"}}}},
                        {"required": ["num_microbatches"],
                         "properties": {"num_microbatches": {"not": {"type": "null"}}}}])"));
  CHECK(properties["run_dir"]["type"] == Json({"string", "null"}));
  const Json& encoder = properties["model"]["properties"]["encoders"]["additionalProperties"];
  CHECK(encoder["required"] == Json({"family"}));
  const Json& parallel = encoder["properties"]["parallel"];
  CHECK(parallel["properties"]["tp_size"]["minimum"] == 1);
  CHECK(parallel["properties"]["tp_size"]["description"] == "The same as tp, as Cornstarch calls it.");
  CHECK(parallel["properties"]["pipeline_template"]["properties"]["modules_per_stage"]["minItems"] == 1);
  CHECK(parallel["allOf"][0]["oneOf"] ==
        Json::parse(R"([{"required": ["stages"]}, {"required": ["pipeline_template"]}])"));
  CHECK(properties["model"]["properties"].contains("language_model"));
}

/// Asks Python's jsonschema about documents, where it is installed: "valid" or "invalid" for each.
TEST_CASE("The schema is valid and agrees with the loader") {
  if (std::system("python3 -c 'import jsonschema, yaml' > /dev/null 2>&1") != 0) {
    WARN("python3 with jsonschema and yaml is not there: not checked");
    return;
  }
  std::string name = (std::filesystem::temp_directory_path() / "cornstarch-schema-XXXXXX").string();
  const std::filesystem::path folder = ::mkdtemp(name.data());
  std::ofstream(folder / "schema.json") << json_schema();
  const std::vector<std::string> texts = {
      kSmall,
      kLarge,
      dump(good(kLarge).config),
      kSmall + "sed: 1\n",
      kSmall + "seed: -1\n",
      kSmall + "seed: text\n",
      kSmall + "layout: both\n",
      kSmall + "optimizer: {lr: 0}\n",
      kSmall + "optimizer: {betas: [0.9]}\n",
      kSmall + "optimizer: {betas: [0.9, 1.0]}\n",
      kSmall + "run_dir: \"\"\n",
      kSmall + "optimizer: null\nlayout: ~\nprecision: null\nrun_dir: null\n",
      kSmall + "run_dir:\n  - a\n",
      "model: {llm: {family: llama, config: {}, pretrained: null}}\n"
      "batch: {global_size: null, num_microbatches: 1, sequence_length: 16}\n"
      "data: {train: [{path: a, media_root: ~}], tokenizer: t}\nsteps: 2\n",
      "model: {llm: {family: llama, config: {}}}\n"
      "batch: {global_size: null, sequence_length: 16}\n"
      "data: {train: [{path: a}], tokenizer: t}\nsteps: 2\n",
      "model: {llm: {family: llama, config: {}}, encoders: {a: null}}\n"
      "batch: {global_size: 1, sequence_length: null}\n"
      "data: {train: [{path: a}], tokenizer: t}\nsteps: 2\n",
      "steps: 2\n"};
  std::string expected;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    std::ofstream(folder / cat(i, ".yaml")) << texts[i];
    expected += try_load(texts[i]).problems.empty() ? "valid\n" : "invalid\n";
  }
  std::ofstream(folder / "check.py") << R"(
import json, jsonschema, sys, yaml
schema = json.load(open('schema.json'))
jsonschema.Draft7Validator.check_schema(schema)
for i in range(int(sys.argv[1])):
    document = yaml.safe_load(open(f'{i}.yaml'))
    print('valid' if jsonschema.Draft7Validator(schema).is_valid(document) else 'invalid')
)";
  const std::string command =
      cat("cd '", folder.string(), "' && python3 check.py ", texts.size(), " > out.txt");
  CHECK(std::system(command.c_str()) == 0);
  CHECK(read_file(folder / "out.txt").value() == expected);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace cornstarch::config::test
