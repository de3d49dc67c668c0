// save_program DIR RANKS FIRST LAST: saves the checkpoints FIRST, ..., LAST as so many ranks, each a thread,
// and keeps two. save_program DIR: says which step the newest whole checkpoint is of, after reading all of
// it; 65 where there is none, or what it holds is not what that step wrote.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "cornstarch/checkpoint/checkpoint.h"

using namespace cornstarch;

namespace {

const std::vector<std::int64_t> kShape{24, 40};
constexpr const char* kName = "parameter/llm/weight";

std::vector<float> values(std::int64_t step) {
  std::vector<float> out(24 * 40);
  std::iota(out.begin(), out.end(), static_cast<float>(1000 * step));
  return out;
}

Result<void> save(const std::string& dir, int ranks, std::int64_t step) {
  std::vector<Result<void>> written(static_cast<std::size_t>(ranks));
  {
    std::vector<std::jthread> threads;
    for (int rank = 0; rank < ranks; ++rank)
      threads.emplace_back([&, rank] {
        const Range own = share(24 * 40, ranks, rank);
        const std::vector<float> all = values(step);
        written[static_cast<std::size_t>(rank)] = checkpoint::write_part(
            checkpoint::partial_folder(dir, step), rank,
            {{{kName, formats::DType::f32, {kShape, -1, {}, own}},
              std::as_bytes(std::span(all).subspan(static_cast<std::size_t>(own.begin),
                                                   static_cast<std::size_t>(own.size())))}});
      });
  }
  for (const auto& each : written)
    if (!each) return each;
  checkpoint::Manifest manifest;
  manifest.step = step;
  manifest.world_size = ranks;
  const auto whole = checkpoint::commit(dir, manifest);
  if (!whole) return tl::unexpected(whole.error());
  return checkpoint::prune(dir, 2, 0);
}

int read_newest(const std::string& dir) {
  for (const checkpoint::Listed& each : checkpoint::list(dir)) {
    if (!each.manifest) continue;
    auto opened = checkpoint::Checkpoint::open(each.path);
    std::vector<float> all(24 * 40);
    const bool good = opened && opened->verify().empty() &&
                      opened->read(kName, plan::whole(kShape), std::as_writable_bytes(std::span(all))) &&
                      all == values(each.step);
    if (!good) {
      std::fprintf(stderr, "%s is not what was saved\n", each.path.c_str());
      return 65;
    }
    std::printf("%lld\n", static_cast<long long>(each.step));
    return 0;
  }
  return 65;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  if (argc < 5) return read_newest(argv[1]);
  checkpoint::abandon_all(argv[1]);
  int code = 0;
  for (std::int64_t step = std::atoll(argv[3]); step <= std::atoll(argv[4]); ++step) {
    const auto saved = save(argv[1], std::atoi(argv[2]), step);
    if (saved) continue;
    std::fprintf(stderr, "%s\n", saved.error().message.c_str());
    checkpoint::abandon(argv[1], step);
    code = 74;
  }
  return code;
}
