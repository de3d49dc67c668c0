#include "cornstarch/base/log.h"

#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <memory>

#include "cornstarch/base/text.h"

namespace cornstarch::log {
namespace {

constexpr int kNoRank = -1;
thread_local int current_rank = kNoRank;

spdlog::logger& logger() {
  // Never destroyed: threads may log while the program ends.
  static spdlog::logger& instance = *[] {
    auto* made = new spdlog::logger("cornstarch", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern("%T %l %v");
    made->flush_on(spdlog::level::trace);
    return made;
  }();
  return instance;
}

spdlog::level::level_enum translated(Level level) {
  switch (level) {
    case Level::debug:
      return spdlog::level::debug;
    case Level::info:
      return spdlog::level::info;
    case Level::warning:
      return spdlog::level::warn;
    case Level::error:
      break;
  }
  return spdlog::level::err;
}

}  // namespace

void set_rank(int rank) { current_rank = rank; }

void set_level(Level level) { logger().set_level(translated(level)); }

void write(Level level, std::string_view message) {
  if (current_rank > 0 && level < Level::warning) return;
  if (current_rank == kNoRank) {
    logger().log(translated(level), spdlog::string_view_t(message.data(), message.size()));
  } else {
    const std::string line = cat("[rank ", current_rank, "] ", message);
    logger().log(translated(level), spdlog::string_view_t(line.data(), line.size()));
  }
}

}  // namespace cornstarch::log
