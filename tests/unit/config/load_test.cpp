#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "fixture.h"

namespace cornstarch::config::test {
namespace {

namespace fs = std::filesystem;

std::string here(const std::string& name) { return (fs::current_path() / name).string(); }

TEST_CASE("Every key arrives") {
  const RunConfig c = good(kLarge).config;
  REQUIRE(c.model.encoders.size() == 2);
  const Encoder& vision = c.model.encoders[0];
  CHECK(vision.name == "vision");
  CHECK(vision.family == "clip_vision_model");
  CHECK_FALSE(vision.pretrained.has_value());
  CHECK(vision.config_json == R"({"hidden_size":64,"layer_norm_eps":1e-05,"hidden_act":"quick_gelu",)"
                              R"("flags":[true,null,-3,"1",2.5],"deep":{"a":{"b":"yes"}}})");
  CHECK(vision.projector.type == ProjectorType::mlp);
  CHECK(vision.projector.activation == "relu");
  CHECK_FALSE(vision.train.encoder);
  CHECK(vision.train.projector);
  CHECK_FALSE(vision.train_only);
  CHECK(vision.train_except ==
        std::vector<std::string>{"vision_model.embeddings", "vision_model.encoder.layers.0..3"});
  CHECK(vision.optimizer.encoder.lr == 1e-5);
  CHECK(vision.optimizer.encoder.weight_decay == 0.05);
  CHECK(vision.optimizer.encoder.no_decay == NoDecay::nothing);
  CHECK(vision.optimizer.projector.lr == 2e-3);
  CHECK_FALSE(vision.optimizer.projector.no_decay);
  CHECK(vision.placeholder == "<image>");
  CHECK(vision.feature_layer == -2);
  CHECK(vision.feature_select == FeatureSelect::patch);
  REQUIRE(vision.parallel.has_value());
  CHECK(vision.parallel->tp == 2);
  CHECK(vision.parallel->sp == 1);
  CHECK(vision.parallel->mode == SpMode::all_to_all);
  CHECK(vision.parallel->stages ==
        std::vector<std::vector<std::string>>{{"vision_model.embeddings", "vision_model.encoder.layers.0..5"},
                                              {"vision_model.post_layernorm", "projector"}});
  CHECK(c.model.encoders[1].name == "audio");
  CHECK(c.model.encoders[1].pretrained == "/whisper");
  CHECK_FALSE(c.model.encoders[1].config_json.has_value());
  CHECK(c.model.llm.pretrained == "/models/llama");
  CHECK_FALSE(c.model.llm.train);
  CHECK(c.model.llm.train_only == std::vector<std::string>{"model.layers.4..9", "lm_head"});
  CHECK(c.model.llm.optimizer.weight_decay == 0);
  CHECK_FALSE(c.model.llm.optimizer.lr);
  CHECK(c.model.llm.parallel->mode == SpMode::ring_attn);
  CHECK(c.layout == Layout::single);
  CHECK(c.batch.microbatch_size == 2);
  CHECK(c.batch.num_microbatches == 8);
  CHECK(c.batch.global_size == std::nullopt);
  CHECK(c.batch.sequence_length == 1024);
  REQUIRE(c.data.train.size() == 2);
  CHECK(c.data.train[0].path == "/base/demo/train.jsonl");
  CHECK(c.data.train[0].media_root == "/base/demo");
  CHECK(c.data.train[0].weight == 0.5);
  CHECK(c.data.train[1].path == "/abs/b.json");
  CHECK(c.data.eval.at(0).path == "/base/eval.jsonl");
  CHECK(c.data.tokenizer == "/base/demo/tokenizer.json");
  CHECK(c.data.on_bad_sample == OnBadSample::skip);
  CHECK(c.data.num_workers == 2);
  CHECK(c.data.train_on == TrainOn::last_answer);
  CHECK(c.data.on_long_sample == OnLongSample::refuse);
  CHECK_FALSE(c.data.shuffle);
  CHECK(c.optimizer.type == OptimizerType::sgd);
  CHECK(c.optimizer.lr == 1e-3);
  CHECK(c.optimizer.no_decay == NoDecay::norms_and_biases);
  CHECK(c.optimizer.betas == std::vector<double>{0.8, 0.99});
  CHECK(c.optimizer.eps == 1e-6);
  CHECK(c.optimizer.weight_decay == 0.1);
  CHECK(c.optimizer.momentum == 0.9);
  CHECK(c.optimizer.grad_clip == 0.0);
  CHECK(c.lr_schedule.type == LrScheduleType::cosine);
  CHECK(c.lr_schedule.warmup_steps == 50);
  CHECK(c.lr_schedule.min_lr_ratio == 0.1);
  CHECK(c.eval.every == 100);
  CHECK(c.eval.max_samples == 64);
  CHECK(c.precision == Precision::fp64);
  CHECK(c.seed == 18446744073709551615u);
  CHECK(c.steps == 200);
  CHECK(c.run_dir == "/runs/demo");
  CHECK(c.export_dtype == ExportDtype::fp32);
}

TEST_CASE("What is not written has its default") {
  const RunConfig c = good(kSmall).config;
  CHECK(c.model.encoders.empty());
  CHECK(c.model.llm.config_json == "{}");
  CHECK(c.model.llm.train);
  CHECK_FALSE(c.model.llm.parallel.has_value());
  CHECK(c.layout == Layout::separate);
  CHECK(c.batch.global_size == 4);
  CHECK(c.data.train.at(0).media_root == std::nullopt);
  CHECK(c.data.train.at(0).weight == 1.0);
  CHECK(c.optimizer.betas == std::vector<double>{0.9, 0.95});
  CHECK(c.run_dir == here("runs/run"));
  const RunConfig with = good(kSmall, {"model.encoders={audio: {family: whisper, config: {}}}"}).config;
  CHECK(with.model.encoders.at(0).placeholder == "<audio>");
}

TEST_CASE("null leaves out what may be left out") {
  const RunConfig c =
      good(
          "model: {llm: {family: llama, config: {}, pretrained: ~, parallel: null}}\n"
          "batch: {microbatch_size: 1, global_size: 4, num_microbatches: ~, sequence_length: 16}\n"
          "data: {train: [{path: a.jsonl}], tokenizer: t.json}\n"
          "steps: 2\n")
          .config;
  CHECK(c.model.llm.pretrained == std::nullopt);
  CHECK_FALSE(c.model.llm.parallel.has_value());
  CHECK(c.batch.num_microbatches == std::nullopt);
}

TEST_CASE("null unsets any key that may be left out, sections and encoders too, in the file and by --set") {
  const RunConfig defaults = good(kSmall).config;
  const std::string nulls =
      kSmall +
      "optimizer: null\nlr_schedule: {type: ~, warmup_steps: NULL}\neval: Null\nseed: null\n"
      "precision: null\nlayout: ~\nrun_dir: null\n";
  CHECK(dump(good(nulls).config) == dump(defaults));

  const RunConfig c =
      good(kLarge,
           {"model.encoders.audio=null", "optimizer=~", "lr_schedule=null", "eval=null", "precision=null",
            "layout=null", "device=~", "seed=null", "run_dir=null", "data.eval=null",
            "data.train[0].weight=null", "data.train[0].media_root=null", "data.num_workers=~",
            "model.encoders.vision.placeholder=null", "model.encoders.vision.feature_select=null"})
          .config;
  REQUIRE(c.model.encoders.size() == 1);
  CHECK(c.model.encoders[0].placeholder == "<vision>");
  CHECK(c.model.encoders[0].feature_select == FeatureSelect::full);
  CHECK(c.optimizer.type == OptimizerType::adamw);
  CHECK(c.lr_schedule.warmup_steps == 0);
  CHECK(c.eval.every == 0);
  CHECK(c.precision == Precision::fp32);
  CHECK(c.layout == Layout::separate);
  CHECK(c.seed == 0);
  CHECK(c.run_dir == here("runs/run"));
  CHECK(c.data.eval.empty());
  CHECK(c.data.train.at(0).weight == 1.0);
  CHECK(c.data.train.at(0).media_root == std::nullopt);
  CHECK(c.data.num_workers == 4);
  // The word itself, as text.
  CHECK(good(kLarge, {"model.encoders.vision.placeholder='null'"}).config.model.encoders[0].placeholder ==
        "null");
  // What --set unset can be set again.
  CHECK(good(kLarge, {"optimizer=null", "optimizer.lr=0.5"}).config.optimizer.lr == 0.5);
}

TEST_CASE("run_dir is relative to the current directory") {
  CHECK(good(kSmall + "run_dir: runs/a/\n").config.run_dir == here("runs/a"));
}

TEST_CASE("Anchors and aliases repeat values, and a byte order mark and CRLF do no harm") {
  const RunConfig c = good(
                          "\xEF\xBB\xBFmodel:\r\n"
                          "  encoders:\r\n"
                          "    a: {family: x, config: &c {n: 1}, parallel: &p {tp: 2, stages: [[m]]}}\r\n"
                          "    b: {family: x, config: *c, parallel: *p}\r\n"
                          "  llm: {family: llama, config: {}}\r\n"
                          "batch: {microbatch_size: 1, global_size: 4, sequence_length: 16}\r\n"
                          "data: {train: [{path: a.jsonl}], tokenizer: t.json}\r\n"
                          "steps: 2\r\n")
                          .config;
  CHECK(c.model.encoders.at(1).config_json == R"({"n":1})");
  CHECK(c.model.encoders.at(1).parallel->tp == 2);
}

TEST_CASE("The places of keys") {
  const Loaded loaded = good(kLarge, {"model.llm.parallel.tp=8", "seed=5"});
  const auto at = [&](const std::string& path) {
    const SourceSpan span = loaded.where.at(path);
    return cat(span.file, ":", span.line, ":", span.column, "+", span.length);
  };
  CHECK(at("model.encoders.vision.parallel.tp") == "run.yaml:21:13+1");
  CHECK(at("model.encoders.vision.parallel") == "run.yaml:20:7+8");
  CHECK(at("model.encoders.vision") == "run.yaml:3:5+6");
  CHECK(at("model.encoders.vision.parallel.stages") == "run.yaml:25:11+1");
  CHECK(at("model.encoders.vision.parallel.stages[0]") == "run.yaml:25:13+1");
  CHECK(at("model.encoders.vision.parallel.stages[0][1]") == "run.yaml:25:39+34");
  CHECK(at("model.encoders.vision.config.hidden_size") == "run.yaml:6:22+2");
  CHECK(at("model.encoders.vision.config.flags[3]") == "run.yaml:9:33+3");
  CHECK(at("model.encoders.vision.config.deep.a.b") == "run.yaml:10:23+5");
  CHECK(at("data.train[1].path") == "run.yaml:44:14+11");
  CHECK(at("model.llm.parallel.tp") == "--set:1:23+1");
  CHECK(loaded.where.at("model.llm.parallel.tp").line_text == "model.llm.parallel.tp=8");
  CHECK(loaded.where.at("steps").line_text == "steps: 200");
  // What was not written is where its nearest ancestor is.
  CHECK(at("model.encoders.audio.parallel.tp") == "run.yaml:27:5+5");
  CHECK(at("nothing.like.it") == "run.yaml:0:0+1");
  CHECK(loaded.where.has("model.encoders.vision.parallel.mode"));
  CHECK_FALSE(loaded.where.has("model.encoders.audio.parallel"));
}

TEST_CASE("A place can be set and counts characters") {
  SourceMap where;
  where.set("a.b", SourceSpan{"f", 7, 3, 2, "\xC3\xA4\xC3\xB6xy"});
  const SourceSpan span = where.at("a.b[0]");
  CHECK(span.file == "f");
  CHECK(span.line == 7);
  CHECK(span.column == 3);
  CHECK(span.length == 2);
  CHECK(span.line_text == "\xC3\xA4\xC3\xB6xy");
  CHECK(where.at("c").file.empty());
}

TEST_CASE("A file is read, and its paths are relative to its folder") {
  std::string name = (fs::temp_directory_path() / "cornstarch-config-XXXXXX").string();
  const fs::path folder = ::mkdtemp(name.data());
  std::ofstream(folder / "run.yaml") << kSmall;
  Diagnostics diagnostics;
  const auto loaded = load(folder / "run.yaml", {"data.train[0].path=x.jsonl"}, diagnostics);
  CHECK(render_text(diagnostics).empty());
  REQUIRE(loaded.has_value());
  CHECK(loaded->config.data.tokenizer == (folder / "t.json").string());
  CHECK(loaded->config.data.train[0].path == here("x.jsonl"));
  CHECK(loaded->where.at("steps").file == (folder / "run.yaml").string());
  fs::remove_all(folder);

  CHECK_FALSE(load(folder / "run.yaml", {}, diagnostics).has_value());
  const std::string file = (folder / "run.yaml").string();
  CHECK(render_text(diagnostics) ==
        cat(file, ": error: cannot read '", file, "': No such file or directory [unreadable]\n1 error\n"));
}

}  // namespace
}  // namespace cornstarch::config::test
