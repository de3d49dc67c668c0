#include <chrono>
#include <fstream>
#include <iostream>

#include "catch.h"
#include "cornstarch/dataio/conversations.h"
#include "golden.h"

using namespace cornstarch::dataio;

namespace {

/// Memory of this process that is no file's, in bytes.
std::int64_t own_memory() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("RssAnon:")) return std::stoll(line.substr(8)) * 1024;
  return 0;
}

}  // namespace

TEST_CASE("ten million lines open in seconds once their index exists, in little memory", "[.][ten-million]") {
  constexpr int n = 10'000'000;
  const golden::Folder folder;
  {
    std::ofstream out(folder.path() / "train.jsonl");
    for (int i = 0; i < n; ++i)
      out << R"({"id": )" << i << R"(, "messages": [{"role": "user", "content": "Say )" << i
          << R"("}, {"role": "assistant", "content": ")" << i << "\"}]}\n";
  }
  ConversationOptions options;
  options.tokenizer = golden::path("tokenizer_gpt2.json");
  options.chat_template = "plain";
  options.sequence_length = 64;
  options.hold_out = 0.01;
  const auto open = [&](const char* what, Portion portion) {
    options.files = {{folder.path() / "train.jsonl", {}, 1, portion}};
    const auto begin = std::chrono::steady_clock::now();
    const std::int64_t before = own_memory();
    const auto data = cornstarch::value_or_throw(ConversationDataset::open(options));
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    const double mib = static_cast<double>(own_memory() - before) / 1048576;
    std::cout << what << ": " << data->size() << " samples, " << seconds << " s, " << mib << " MiB\n";
    REQUIRE(data->question(data->size() - 1));
    return std::tuple(data->size(), seconds, mib);
  };
  open("without an index", Portion::all);
  std::int64_t parts = 0;
  for (const auto& [what, portion] : {std::pair{"all", Portion::all}, std::pair{"kept", Portion::kept},
                                      std::pair{"held out", Portion::held_out}}) {
    const auto [size, seconds, mib] = open(what, portion);
    if (portion != Portion::all) parts += size;
    CHECK(seconds < 10);
    CHECK(mib < 16);
  }
  CHECK(parts == n);
}
