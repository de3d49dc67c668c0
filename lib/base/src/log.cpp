#include "cornstarch/base/log.h"

#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>

#include <algorithm>
#include <memory>
#include <mutex>

#include "cornstarch/base/console.h"
#include "cornstarch/base/text.h"
#include "cornstarch/base/untrusted.h"

namespace cornstarch::log {
namespace {

constexpr int kNoRank = -1;
thread_local int current_rank = kNoRank;

Level level_of(spdlog::level::level_enum level) {
  if (level <= spdlog::level::debug) return Level::debug;
  if (level == spdlog::level::info) return Level::info;
  return level == spdlog::level::warn ? Level::warning : Level::error;
}

class ConsoleSink final : public spdlog::sinks::base_sink<std::mutex> {
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    console().say({line.data(), line.size()}, level_of(message.level));
  }
  void flush_() override {}
};

spdlog::logger& logger() {
  // Never destroyed: threads may log while the program ends.
  static spdlog::logger& instance = *[] {
    auto* made = new spdlog::logger("cornstarch", std::make_shared<ConsoleSink>());
    made->set_pattern("%T %l %v");
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
int rank() { return current_rank; }

void set_level(Level level) {
  console().set_level(level);
  logger().set_level(translated(std::min(level, Level::info)));  // the log is complete
}

void write(Level level, std::string_view message) {
  if (current_rank > 0 && level < Level::warning) return;
  const std::string place = current_rank == kNoRank ? "" : cat("[rank ", current_rank, "] ");
  const std::string line = cat(place, harmless(message));
  logger().log(translated(level), spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace cornstarch::log
