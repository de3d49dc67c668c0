#include "render.h"

#include "catch.h"
#include "cornstarch/base/text.h"
#include "plan_fixture.h"

using namespace cornstarch;
using namespace cornstarch::plan;
using test::encoder;
using test::llm;

namespace {

using Strings = std::vector<std::string>;

Plan planned(const catalog::Modalities& modalities, int world_size,
             config::Layout layout = config::Layout::separate, int gpus_per_node = 8) {
  config::RunConfig config = test::config(8);
  config.layout = layout;
  config.batch.microbatch_size = 2;
  config.batch.sequence_length = 1024;
  return value_or_throw(make_plan(config, modalities, world_size, gpus_per_node));
}

std::string table(const catalog::Modalities& modalities, int world_size,
                  config::Layout layout = config::Layout::separate, int gpus_per_node = 8,
                  std::size_t width = 110) {
  return to_table(planned(modalities, world_size, layout, gpus_per_node), modalities, width);
}

/// A model whose table is wide: several replicas, long names, many stages.
catalog::Modalities wide_model() {
  catalog::Modalities out = {encoder("vision", 2, 2), encoder("audio", 1, 1, 1, false), llm(6, 4, 1, false)};
  for (auto& module : out[2].spec.modules) module.name.insert(0, "a_name_of_its_own_");
  for (std::size_t i = 0; i < 4; ++i) out[2].spec.modules[i].name += "_";
  out[2].stages = {{0, 1, 2, 3, 4}, {5, 6}, {7}, {8}, {9, 10, 11}};
  return out;
}

std::size_t widest_line(const std::string& text) {
  std::size_t widest = 0;
  for (const std::string& line : split(text, '\n')) widest = std::max(widest, line.size());
  return widest;
}

}  // namespace

TEST_CASE("module names shrink to the ranges that a stage list takes") {
  CHECK(compress_modules({"a.embed", "a.layers.0", "a.layers.1", "a.layers.2", "norm"}) ==
        Strings{"a.embed", "a.layers.0..2", "norm"});
  CHECK(compress_modules({"layers.9", "layers.10", "layers.12"}) == Strings{"layers.9..10", "layers.12"});
  CHECK(compress_modules({"a.0", "b.1"}) == Strings{"a.0", "b.1"});
  CHECK(compress_modules({"conv1", "conv2", "x.", "y.99999999999"}) ==
        Strings{"conv1", "conv2", "x.", "y.99999999999"});
  CHECK(compress_modules({}).empty());
}

TEST_CASE("ranks shrink to ranges") {
  CHECK(compress_ranks({}).empty());
  CHECK(compress_ranks({3}) == "3");
  CHECK(compress_ranks({0, 1, 2, 5, 7, 8}) == "0-2,5,7-8");
}

TEST_CASE("parameters count in human units") {
  CHECK(human_count(0) == "0");
  CHECK(human_count(999) == "999");
  CHECK(human_count(1000) == "1.00K");
  CHECK(human_count(12345678) == "12.3M");
  CHECK(human_count(999600) == "1.00M");
  CHECK(human_count(8.03e9) == "8.03B");
  CHECK(human_count(1.5e15) == "1500T");
}

TEST_CASE("the rank with the largest share of a parameter speaks for its group") {
  catalog::ParamSpec param;
  param.shape = {10, 4};
  CHECK(params_on_rank(param, 3) == 40);
  param.split = {0, 1};
  CHECK(params_on_rank(param, 1) == 40);
  CHECK(params_on_rank(param, 3) == 16);  // 4 of 10 rows
  param.split = {0, 5};
  CHECK(params_on_rank(param, 2) == 20);  // one unit of 5 rows
  param.split = {1, 1};
  CHECK(params_on_rank(param, 4) == 10);
}

TEST_CASE("lists wrap at the width") {
  CHECK(wrap({"aa", "bb", "cc"}, 2, 9) == "  aa, bb,\n  cc\n");
  CHECK(wrap({"longer than the width"}, 2, 9) == "  longer than the width\n");
}

TEST_CASE("the table of the example with two replicas") {
  CHECK(table({encoder("vision", 1, 2), encoder("audio", 1, 1, 1, false), llm(3, 4, 2, false)}, 54) ==
        R"(54 ranks = 2 replicas of 27, on 7 nodes of 8, layout separate
step: 8 microbatches of 2 samples for each replica, 32 samples in all, 1024 tokens each

  vision  tp 2                 (0)----+
  audio   tp 1                 (1)----+
  llm     tp 4 sp 2 ring_attn         +-->(2)-->(3)-->(4)

stage  modality  ranks, by replica  nodes  params/rank  trains
  (0)  vision    0-1 | 2-3          0               32  all
         layers.0, projector
  (1)  audio     4 | 5              0               32  projector
         layers.0, projector
  (2)  llm       6-13 | 14-21       0-2             32  frozen, passes gradients
         layers.0..1
  (3)  llm       22-29 | 30-37      2-4             32  frozen, passes gradients
         layers.2..3
  (4)  llm       38-45 | 46-53      4-6             32  frozen, passes gradients
         layers.4..5

node  ranks  stage of each rank, [tp group]
0     0-7    [0 0] [0 0] [1] [1] [2 2
1     8-15   2 2] [2 2 2 2] [2 2
2     16-23  2 2] [2 2 2 2] [3 3
3     24-31  3 3] [3 3 3 3] [3 3
4     32-39  3 3] [3 3 3 3] [4 4
5     40-47  4 4] [4 4 4 4] [4 4
6     48-53  4 4] [4 4 4 4]

note: 6 of 16 tp groups span two nodes or more (ranks 6-9; 14-17; 22-25; ...), none with
  - model.encoders.vision.parallel.tp: 3, on 56 ranks
  - 4 replicas, on 108 ranks

attention of a row of 1024 tokens over 2 sp ranks, by makespan: the heaviest / the mean is
  1.00 on text, 1.00 on half pictures, 1.00 on packed samples
)");
}

TEST_CASE("the table of a layout that keeps whole replicas on each rank") {
  CHECK(table({encoder("vision", 2, 2, 1, false, false), llm(1, 4)}, 2, config::Layout::single) ==
        R"(2 ranks = 2 replicas of 1, on 1 node of 2, layout single: every rank is a whole replica
step: 8 microbatches of 2 samples for each replica, 32 samples in all, 1024 tokens each

  vision  tp 1  (0)----+
  llm     tp 1         +-->(1)

stage  modality  ranks, by replica  nodes  params/rank  trains
  (0)  vision    0 | 1              0               64  frozen
         layers.0..2, projector
  (1)  llm       0 | 1              0               32  all
         layers.0..1
)");
}

TEST_CASE("512 ranks fit a screen") {
  const std::string text = table({encoder("vision", 2, 4), encoder("audio", 1, 8), llm(7, 8, 2)}, 512);
  CHECK(split(text, '\n').size() < 60);
  CHECK(widest_line(text) <= 110);
  CHECK(text.find("512 ranks = 4 replicas of 128, on 64 nodes of 8") == 0);
  CHECK(text.find("node   ranks    stage of each rank, [tp group]\n"
                  "0-1    0-15     [0 0 0 0] [0 0 0 0]\n"
                  "2-3    16-31    [1 1 1 1] [1 1 1 1]\n"
                  "4-7    32-63    [2 2 2 2 2 2 2 2]\n"
                  "8-15   64-127   [3 3 3 3 3 3 3 3]\n") != std::string::npos);
  CHECK(text.find("note:") == std::string::npos);
}

TEST_CASE("a last node that is not full is a line of its own") {
  CHECK(table({llm(1, 1)}, 17)
            .find("0-1   0-15   [0] [0] [0] [0] [0] [0] [0] [0]\n"
                  "2     16     [0]\n") != std::string::npos);
}

TEST_CASE("a replica count beyond a few is cut in the middle") {
  CHECK(table({llm(1, 2)}, 512).find("0-1 | 2-3 | ... | 510-511  0-63") != std::string::npos);
}

TEST_CASE("many stages and many ranks in a node stay within the width") {
  const std::string text =
      table({encoder("a_modality_with_a_name", 9, 3), llm(40, 3)}, 147 * 3, config::Layout::separate, 72);
  CHECK(widest_line(text) <= 110);
  CHECK(text.find("(0)-->(1)-->(2)-->...-->(8)----+") != std::string::npos);
  CHECK(text.find("0     0-71     3x[0 0 0] 3x[1 1 1]") != std::string::npos);
}

TEST_CASE("modules that nothing reads are named as such, and a tied parameter counts once on a stage") {
  catalog::Modalities modalities = {llm(2, 1)};
  modalities[0].used[2] = false;
  modalities[0].spec.modules[1].params[0].tied_to = "layers.0.weight";
  modalities[0].spec.modules[3].params[0].tied_to = "layers.0.weight";
  const std::string text = table(modalities, 2);
  CHECK(text.find("  (0)  llm       0      0               16  all\n"
                  "         layers.0..1\n"
                  "  (1)  llm       1      0               32  all\n"
                  "         layers.3\n"
                  "         not computed: layers.2\n") != std::string::npos);
}

TEST_CASE("the plan as JSON: a line for each rank, null for what does not apply") {
  const catalog::Modalities modalities = {encoder("vision", 1, 1), llm(1, 1, 2)};
  CHECK(to_json(planned(modalities, 3), modalities) == R"({
  "world_size": 3,
  "ranks_per_replica": 3,
  "dp": 1,
  "nodes": 1,
  "gpus_per_node": 8,
  "layout": "separate",
  "step": {"num_microbatches":8,"microbatch_size":2,"samples":16,"sequence_length":1024,"packing":"none"},
  "modalities": [
    {"name":"vision","tp":1,"sp":1,"mode":null,"num_stages":1,"first_stage":0},
    {"name":"llm","tp":1,"sp":2,"mode":"ring_attn","num_stages":1,"first_stage":1}
  ],
  "stages": [
    {"stage":0,"modality":"vision","stage_in_modality":0,"ranks":[[0]],"nodes":[0],"params_per_rank":32,"trains":["layers.0","projector"],"frozen":[],"passes_gradients":false,"modules":["layers.0","projector"],"not_computed":[]},
    {"stage":1,"modality":"llm","stage_in_modality":0,"ranks":[[1,2]],"nodes":[0],"params_per_rank":32,"trains":["layers.0","layers.1"],"frozen":[],"passes_gradients":true,"modules":["layers.0","layers.1"],"not_computed":[]}
  ],
  "llm_attention_heaviest_over_mean": {"text":1.0,"half pictures":1.0,"packed samples":1.0},
  "ranks": [
    {"rank":0,"node":0,"dp":0,"parts":[{"modality":"vision","stage":0,"stage_in_modality":0,"sp":0,"tp":0,"modules":["layers.0","projector"]}],"receives_from":[],"sends_to":[1,2]},
    {"rank":1,"node":0,"dp":0,"parts":[{"modality":"llm","stage":1,"stage_in_modality":0,"sp":0,"tp":0,"modules":["layers.0","layers.1"]}],"receives_from":[0],"sends_to":[]},
    {"rank":2,"node":0,"dp":0,"parts":[{"modality":"llm","stage":1,"stage_in_modality":0,"sp":1,"tp":0,"modules":["layers.0","layers.1"]}],"receives_from":[0],"sends_to":[]}
  ],
  "groups": {
    "tp": [[0],[1],[2]],
    "sp": [[0],[1,2]],
    "sp_tp": [[0],[1,2]],
    "dp_sp": [[0],[1,2]],
    "world": [[0,1,2]]
  }
}
)");
}

TEST_CASE("in the single layout every rank of the JSON has a part of each modality") {
  const catalog::Modalities modalities = {encoder("vision", 2, 2), llm(2, 1)};
  const std::string text = to_json(planned(modalities, 1, config::Layout::single), modalities);
  CHECK(text.find(R"("layout": "single")") != std::string::npos);
  CHECK(text.find(R"({"rank":0,"node":0,"dp":0,"parts":[)"
                  R"({"modality":"vision","stage":0,"stage_in_modality":0,"sp":0,"tp":0,)"
                  R"("modules":["layers.0","layers.1","layers.2","projector"]},)"
                  R"({"modality":"llm","stage":1,"stage_in_modality":0,"sp":0,"tp":0,)"
                  R"("modules":["layers.0","layers.1","layers.2","layers.3"]}],)"
                  R"("receives_from":[],"sends_to":[]})") != std::string::npos);
}

TEST_CASE("the table in 60 columns") {
  const std::string text = table(wide_model(), 25 * 3, config::Layout::separate, 8, 60);
  CHECK(widest_line(text) <= 60);
  CHECK(text == R"(75 ranks = 3 replicas of 25, on 10 nodes of 8, layout
  separate
step: 8 microbatches of 2 samples for each replica, 48
  samples in all, 1024 tokens each

  vision  tp 2  (0)-->(1)----+
  audio   tp 1        (2)----+
  llm     tp 4               +-->(3)-->(4)-->(5)-->(6)-->(7)

stage  modality  ranks, by replica      nodes  params/rank
  (0)  vision    0-1 | 2-3 | 4-5        0               32
         trains: all
         layers.0..1
  (1)  vision    6-7 | 8-9 | 10-11      0-1             32
         trains: all
         layers.2, projector
  (2)  audio     12 | 13 | 14           1               32
         trains: projector
         layers.0, projector
  (3)  llm       15-18 | 19-22 | 23-26  1-3             80
         trains: frozen, passes gradients
         a_name_of_its_own_layers.0_,
         a_name_of_its_own_layers.1_,
         a_name_of_its_own_layers.2_,
         a_name_of_its_own_layers.3_,
         a_name_of_its_own_layers.4
  (4)  llm       27-30 | 31-34 | 35-38  3-4             32
         trains: frozen, passes gradients
         a_name_of_its_own_layers.5..6
  (5)  llm       39-42 | 43-46 | 47-50  4-6             16
         trains: frozen, passes gradients
         a_name_of_its_own_layers.7
  (6)  llm       51-54 | 55-58 | 59-62  6-7             16
         trains: frozen, passes gradients
         a_name_of_its_own_layers.8
  (7)  llm       63-66 | 67-70 | 71-74  7-9             48
         trains: frozen, passes gradients
         a_name_of_its_own_layers.9..11

node  ranks  stage of each rank, [tp group]
0     0-7    [0 0] [0 0] [0 0] [1 1]
1     8-15   [1 1] [1 1] [2] [2] [2] [3
2     16-23  3 3 3] [3 3 3 3] [3
3     24-31  3 3 3] [4 4 4 4] [4
4     32-39  4 4 4] [4 4 4 4] [5
5     40-47  5 5 5] [5 5 5 5] [5
6     48-55  5 5 5] [6 6 6 6] [6
7     56-63  6 6 6] [6 6 6 6] [7
8     64-71  7 7 7] [7 7 7 7] [7
9     72-74  7 7 7]

note: 8 of 24 tp groups span two nodes or more (ranks 15-18;
  23-26; 31-34; ...), none with
  - model.encoders.audio.parallel.tp: 4, on 84 ranks
  - 4 replicas, on 100 ranks
)");
}

TEST_CASE("the table in 80 columns") {
  const std::string text = table(wide_model(), 25 * 3, config::Layout::separate, 8, 80);
  CHECK(widest_line(text) <= 80);
  CHECK(text == R"(75 ranks = 3 replicas of 25, on 10 nodes of 8, layout separate
step: 8 microbatches of 2 samples for each replica, 48 samples in all, 1024
  tokens each

  vision  tp 2  (0)-->(1)----+
  audio   tp 1        (2)----+
  llm     tp 4               +-->(3)-->(4)-->(5)-->(6)-->(7)

stage  modality  ranks, by replica      nodes  params/rank
  (0)  vision    0-1 | 2-3 | 4-5        0               32
         trains: all
         layers.0..1
  (1)  vision    6-7 | 8-9 | 10-11      0-1             32
         trains: all
         layers.2, projector
  (2)  audio     12 | 13 | 14           1               32
         trains: projector
         layers.0, projector
  (3)  llm       15-18 | 19-22 | 23-26  1-3             80
         trains: frozen, passes gradients
         a_name_of_its_own_layers.0_, a_name_of_its_own_layers.1_,
         a_name_of_its_own_layers.2_, a_name_of_its_own_layers.3_,
         a_name_of_its_own_layers.4
  (4)  llm       27-30 | 31-34 | 35-38  3-4             32
         trains: frozen, passes gradients
         a_name_of_its_own_layers.5..6
  (5)  llm       39-42 | 43-46 | 47-50  4-6             16
         trains: frozen, passes gradients
         a_name_of_its_own_layers.7
  (6)  llm       51-54 | 55-58 | 59-62  6-7             16
         trains: frozen, passes gradients
         a_name_of_its_own_layers.8
  (7)  llm       63-66 | 67-70 | 71-74  7-9             48
         trains: frozen, passes gradients
         a_name_of_its_own_layers.9..11

node  ranks  stage of each rank, [tp group]
0     0-7    [0 0] [0 0] [0 0] [1 1]
1     8-15   [1 1] [1 1] [2] [2] [2] [3
2     16-23  3 3 3] [3 3 3 3] [3
3     24-31  3 3 3] [4 4 4 4] [4
4     32-39  4 4 4] [4 4 4 4] [5
5     40-47  5 5 5] [5 5 5 5] [5
6     48-55  5 5 5] [6 6 6 6] [6
7     56-63  6 6 6] [6 6 6 6] [7
8     64-71  7 7 7] [7 7 7 7] [7
9     72-74  7 7 7]

note: 8 of 24 tp groups span two nodes or more (ranks 15-18; 23-26; 31-34; ...),
  none with
  - model.encoders.audio.parallel.tp: 4, on 84 ranks
  - 4 replicas, on 100 ranks
)");
}

TEST_CASE("the table in 100 columns") {
  const std::string text = table(wide_model(), 25 * 3, config::Layout::separate, 8, 100);
  CHECK(widest_line(text) <= 100);
  CHECK(text == R"(75 ranks = 3 replicas of 25, on 10 nodes of 8, layout separate
step: 8 microbatches of 2 samples for each replica, 48 samples in all, 1024 tokens each

  vision  tp 2  (0)-->(1)----+
  audio   tp 1        (2)----+
  llm     tp 4               +-->(3)-->(4)-->(5)-->(6)-->(7)

stage  modality  ranks, by replica      nodes  params/rank  trains
  (0)  vision    0-1 | 2-3 | 4-5        0               32  all
         layers.0..1
  (1)  vision    6-7 | 8-9 | 10-11      0-1             32  all
         layers.2, projector
  (2)  audio     12 | 13 | 14           1               32  projector
         layers.0, projector
  (3)  llm       15-18 | 19-22 | 23-26  1-3             80  frozen, passes gradients
         a_name_of_its_own_layers.0_, a_name_of_its_own_layers.1_, a_name_of_its_own_layers.2_,
         a_name_of_its_own_layers.3_, a_name_of_its_own_layers.4
  (4)  llm       27-30 | 31-34 | 35-38  3-4             32  frozen, passes gradients
         a_name_of_its_own_layers.5..6
  (5)  llm       39-42 | 43-46 | 47-50  4-6             16  frozen, passes gradients
         a_name_of_its_own_layers.7
  (6)  llm       51-54 | 55-58 | 59-62  6-7             16  frozen, passes gradients
         a_name_of_its_own_layers.8
  (7)  llm       63-66 | 67-70 | 71-74  7-9             48  frozen, passes gradients
         a_name_of_its_own_layers.9..11

node  ranks  stage of each rank, [tp group]
0     0-7    [0 0] [0 0] [0 0] [1 1]
1     8-15   [1 1] [1 1] [2] [2] [2] [3
2     16-23  3 3 3] [3 3 3 3] [3
3     24-31  3 3 3] [4 4 4 4] [4
4     32-39  4 4 4] [4 4 4 4] [5
5     40-47  5 5 5] [5 5 5 5] [5
6     48-55  5 5 5] [6 6 6 6] [6
7     56-63  6 6 6] [6 6 6 6] [7
8     64-71  7 7 7] [7 7 7 7] [7
9     72-74  7 7 7]

note: 8 of 24 tp groups span two nodes or more (ranks 15-18; 23-26; 31-34; ...), none with
  - model.encoders.audio.parallel.tp: 4, on 84 ranks
  - 4 replicas, on 100 ranks
)");
}

TEST_CASE("the table in 120 columns") {
  const std::string text = table(wide_model(), 25 * 3, config::Layout::separate, 8, 120);
  CHECK(widest_line(text) <= 120);
  CHECK(text == R"(75 ranks = 3 replicas of 25, on 10 nodes of 8, layout separate
step: 8 microbatches of 2 samples for each replica, 48 samples in all, 1024 tokens each

  vision  tp 2  (0)-->(1)----+
  audio   tp 1        (2)----+
  llm     tp 4               +-->(3)-->(4)-->(5)-->(6)-->(7)

stage  modality  ranks, by replica      nodes  params/rank  trains
  (0)  vision    0-1 | 2-3 | 4-5        0               32  all
         layers.0..1
  (1)  vision    6-7 | 8-9 | 10-11      0-1             32  all
         layers.2, projector
  (2)  audio     12 | 13 | 14           1               32  projector
         layers.0, projector
  (3)  llm       15-18 | 19-22 | 23-26  1-3             80  frozen, passes gradients
         a_name_of_its_own_layers.0_, a_name_of_its_own_layers.1_, a_name_of_its_own_layers.2_,
         a_name_of_its_own_layers.3_, a_name_of_its_own_layers.4
  (4)  llm       27-30 | 31-34 | 35-38  3-4             32  frozen, passes gradients
         a_name_of_its_own_layers.5..6
  (5)  llm       39-42 | 43-46 | 47-50  4-6             16  frozen, passes gradients
         a_name_of_its_own_layers.7
  (6)  llm       51-54 | 55-58 | 59-62  6-7             16  frozen, passes gradients
         a_name_of_its_own_layers.8
  (7)  llm       63-66 | 67-70 | 71-74  7-9             48  frozen, passes gradients
         a_name_of_its_own_layers.9..11

node  ranks  stage of each rank, [tp group]
0     0-7    [0 0] [0 0] [0 0] [1 1]
1     8-15   [1 1] [1 1] [2] [2] [2] [3
2     16-23  3 3 3] [3 3 3 3] [3
3     24-31  3 3 3] [4 4 4 4] [4
4     32-39  4 4 4] [4 4 4 4] [5
5     40-47  5 5 5] [5 5 5 5] [5
6     48-55  5 5 5] [6 6 6 6] [6
7     56-63  6 6 6] [6 6 6 6] [7
8     64-71  7 7 7] [7 7 7 7] [7
9     72-74  7 7 7]

note: 8 of 24 tp groups span two nodes or more (ranks 15-18; 23-26; 31-34; ...), none with
  - model.encoders.audio.parallel.tp: 4, on 84 ranks
  - 4 replicas, on 100 ranks
)");
}

TEST_CASE("what would keep tp groups inside of nodes") {
  const auto note = [](const catalog::Modalities& modalities, int world_size, int gpus_per_node) {
    const std::string text = table(modalities, world_size, config::Layout::separate, gpus_per_node);
    return text.substr(text.find("note: "));
  };
  CHECK(note({encoder("audio", 1, 1), encoder("vision", 1, 2), llm(1, 1)}, 4, 2) ==
        "note: 1 of 3 tp groups spans two nodes or more (ranks 1-2), none with\n"
        "  - the encoders declared in the order vision, audio\n"
        "  - model.encoders.audio.parallel.tp: 2, on 5 ranks\n"
        "  - 2 replicas, on 8 ranks\n");
  catalog::Modalities only = {llm(2, 3)};
  CHECK(note(only, 6, 4) ==
        "note: 1 of 2 tp groups spans two nodes or more (ranks 3-5), none with\n"
        "  - model.llm.parallel.tp: 4, on 8 ranks\n"
        "  - 3 ranks on each node (--gpus-per-node 3)\n");
  only[0].spec.heads = only[0].spec.kv_heads = 6;  // 4 does not divide them
  CHECK(note(only, 6, 4) ==
        "note: 1 of 2 tp groups spans two nodes or more (ranks 3-5), none with\n"
        "  - model.llm.parallel.tp: 2, on 4 ranks\n"
        "  - 3 ranks on each node (--gpus-per-node 3)\n");
  CHECK(note({llm(1, 4)}, 4, 2) ==
        "note: 1 of 1 tp group spans two nodes or more (ranks 0-3), none with\n"
        "  - model.llm.parallel.tp: 2, on 2 ranks\n");
  catalog::Modalities stubborn = {encoder("vision", 3, 3), llm(4, 2)};
  stubborn[0].spec.heads = stubborn[0].spec.kv_heads = 3;
  CHECK(note(stubborn, 17, 8) ==
        "note: 2 of 7 tp groups span two nodes or more (ranks 6-8; 15-16), and no single change keeps all "
        "inside\n");
}

TEST_CASE("the JSON names tp groups that span nodes, and what would mend them") {
  const catalog::Modalities modalities = {encoder("audio", 1, 1), encoder("vision", 1, 2), llm(1, 1)};
  const std::string text = to_json(planned(modalities, 4, config::Layout::separate, 2), modalities);
  CHECK(text.substr(text.find("  \"tp_groups_over_nodes\"")) == R"(  "tp_groups_over_nodes": [[1,2]],
  "tp_groups_inside_nodes_with": [
    {"encoders":["vision","audio"],"world_size":4},
    {"modality":"audio","tp":2,"world_size":5},
    {"dp":2,"world_size":8}
  ]
}
)");
}

TEST_CASE("sentences wrap between words") {
  CHECK(wrap_words("one two three", 2, 7) == "one two\n  three\n");
  CHECK(wrap_words("incomprehensible it is", 1, 5) == "incomprehensible\n it\n is\n");
  CHECK(wrap_words("", 2, 7) == "\n");
}
