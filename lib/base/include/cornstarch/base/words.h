#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

/// The words in which ranks, hosts, durations, shapes and causes appear in messages.
namespace cornstarch {

std::string describe_ranks(const std::vector<int>& ranks);  ///< "rank 1", "ranks 1, 2, 5", the first eight
std::string describe_duration(std::chrono::duration<double> duration);  ///< "600 s", "0.25 s"
std::string describe_shape(const std::vector<std::int64_t>& shape);     ///< "[3, 4]"
std::string host_name();                                                ///< this host's, or "?"
std::string stopped_because(int rank, const std::string& cause);        ///< text of every peer_failed
std::string one_line(const std::string& text);                          ///< newlines become spaces

}  // namespace cornstarch
