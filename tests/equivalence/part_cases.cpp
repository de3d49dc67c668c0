#include "layouts.h"

namespace cornstarch::test {
namespace {

const Listed kHead = {{}, {"model.embed_tokens", "model.layers.0"}};        // the front does not train
const Listed kMiddle = {{"model.layers.1", "model.norm"}, {}};              // in both of two stages something
const Listed kTail = {{}, {"model.layers.1..3", "model.norm", "lm_head"}};  // the end passes gradients on
const Listed kTied = {{}, {"model.embed_tokens", "lm_head"}};

EncoderLayout listed(EncoderLayout e, Listed modules) {
  e.listed = std::move(modules);
  return e;
}

EncoderLayout last_layers(EncoderLayout e) {
  const std::string layers = e.family == "whisper" ? "layers.1..2" : "vision_model.encoder.layers.1..2";
  return listed(std::move(e), {{layers, "projector"}, {}});
}

EncoderLayout first_layer(EncoderLayout e) {
  const std::string layer = e.family == "whisper" ? "layers.0" : "vision_model.encoder.layers.0";
  return listed(std::move(e), {{layer}, {}});
}

void add_listed(Table& table) {
  const auto add = [&](std::vector<EncoderLayout> encoders, Listed llm, int tp, int stages, int dp,
                       config::Sharding sharding = config::Sharding::none) -> LayoutCase& {
    LayoutCase& c = table.add(std::move(encoders), tp, stages, dp);
    c.llm_listed = std::move(llm);
    c.sharding = sharding;
    return c;
  };
  using enum config::Sharding;
  SyntheticDataset::Mix tail;
  tail.text_tail = true;
  add({}, kHead, 1, 2, 2);
  add({}, kMiddle, 2, 2, 2);
  add({}, kTail, 1, 4, 1);
  add({}, {{"model.layers.2"}, {}}, 1, 4, 2);  // stages in front have no backward at all
  for (const int stages : {1, 3}) add({}, kTied, 1, stages, 2).llm = "gqa_tied";
  add({last_layers(clip(1, 2))}, kHead, 1, 2, 2);
  add({first_layer(clip(2, 3))}, kTail, 2, 1, 1);
  add({last_layers(clip()), first_layer(whisper(1, 2))}, kMiddle, 1, 2, 2).mix = tail;
  add({frozen(clip(1, 2), false, true)}, {{"model.layers.3"}, {}}, 1, 4, 1).mix = tail;
  add({last_layers(clip(2))}, kMiddle, 2, 1, 1).llm_blocks = {config::Checkpointing::full, true};
  add({first_layer(clip())}, kTail, 2, 2, 1).llm_blocks = {config::Checkpointing::selective, false};
  LayoutCase& context = add({last_layers(clip(2))}, kMiddle, 1, 2, 1);
  context.llm_sp = 2;
  context.mode = config::SpMode::ring;

  add({}, kMiddle, 1, 2, 2, zero1);
  add({last_layers(clip(1, 2)), first_layer(whisper())}, kHead, 2, 1, 2, zero1);
  add({}, kTied, 2, 2, 2, zero1).llm = "gqa_tied";
  add({}, kMiddle, 2, 1, 2, zero3);
  add({}, kTied, 1, 1, 3, zero3).llm = "gqa_tied";
  add({last_layers(clip())}, kTail, 1, 1, 2, zero3);
  add({first_layer(clip(2)), last_layers(whisper())}, kHead, 1, 1, 2, zero3).mix = tail;
  for (const auto sharding : {none, zero1, zero3}) {
    LayoutCase& c = add({last_layers(clip()), first_layer(whisper())}, kMiddle, 1, 1, 2, sharding);
    c.whole_replicas = true;
    c.microbatch_size = 1;
    c.num_microbatches = 5;
    c.mix = tail;
  }
}

void add_rates(Table& table) {
  const auto add = [&](std::vector<EncoderLayout> encoders, int tp, int stages, int dp,
                       config::Sharding sharding) -> LayoutCase& {
    LayoutCase& c = table.add(std::move(encoders), tp, stages, dp);
    c.own_rates = true;
    c.sharding = sharding;
    return c;
  };
  using enum config::Sharding;
  add({clip(2, 2)}, 1, 2, 2, none).llm = "gqa_tied";
  add({clip(), whisper(2)}, 2, 1, 1, none);
  add({frozen(clip(1, 2), false, true)}, 1, 2, 2, none).llm_listed = kMiddle;
  add({clip(1, 2), whisper()}, 1, 2, 2, zero1);
  add({clip(2), whisper()}, 1, 1, 2, zero3);
  add({clip()}, 1, 1, 2, zero1).whole_replicas = true;
}

}  // namespace

void add_parts(Table& table) {
  add_listed(table);
  add_rates(table);
}

}  // namespace cornstarch::test
