#include "layouts.h"

namespace cornstarch::test {

void add_lora(Table& table) {
  const auto adapted = [](EncoderLayout e) {
    e.lora = true;
    return e;
  };
  const auto add = [&](std::vector<EncoderLayout> encoders, int tp, int stages, int dp,
                       config::Sharding sharding = config::Sharding::none) -> LayoutCase& {
    LayoutCase& c = table.add(std::move(encoders), tp, stages, dp);
    c.llm_lora = true;
    c.sharding = sharding;
    return c;
  };
  using enum config::Sharding;
  using config::Checkpointing;
  add({}, 2, 1, 1);
  add({}, 3, 2, 2).llm = "gqa_tied";
  add({adapted(clip(2, 2))}, 1, 2, 2);
  add({adapted(frozen(whisper(3), true, false))}, 2, 1, 1);
  add({}, 2, 2, 1).llm_blocks = {Checkpointing::selective, true};
  add({}, 4, 1, 1).llm_blocks = {Checkpointing::full, true};
  add({}, 1, 1, 1).llm_blocks = {Checkpointing::selective, false};
  add({adapted(clip())}, 2, 2, 2, zero1);
  add({adapted(whisper(2))}, 2, 1, 2, zero3);
  for (const auto mode : {config::SpMode::all_to_all, config::SpMode::ring}) {
    LayoutCase& c = add({}, 1, 1, 2);
    c.llm_sp = 2;
    c.mode = mode;
  }
  LayoutCase& packed = add({clip()}, 2, 1, 1);
  packed.packing = true;
  packed.own_rates = true;
}

}  // namespace cornstarch::test
