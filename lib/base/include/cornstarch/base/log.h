#pragma once

#include <string>
#include <string_view>

/// The logging facade: neither spdlog nor LibTorch is included here, so both sides of the torch line can log.
namespace cornstarch::log {

enum class Level { debug, info, warning, error };

/// Lines go to the console as `HH:MM:SS level [rank 3] message`; ranks above 0 print warnings and errors
/// only. Thread-safe. Call set_rank once, from the thread of the rank (it is thread-local, since ranks can be
/// threads).
void set_rank(int rank);
int rank();                   ///< of this thread; -1 where none was set
void set_level(Level level);  ///< the console's: what is less stands in a run's log only
void write(Level level, std::string_view message);

inline void debug(std::string_view m) { write(Level::debug, m); }
inline void info(std::string_view m) { write(Level::info, m); }
inline void warning(std::string_view m) { write(Level::warning, m); }
inline void error(std::string_view m) { write(Level::error, m); }

}  // namespace cornstarch::log
