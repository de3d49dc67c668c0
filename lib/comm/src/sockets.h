#pragma once

#include <chrono>
#include <string>
#include <vector>

/// The few things that the failure board needs of TCP, over IPv4. Functions return -1 or nothing on failure.
namespace cornstarch::comm {

int listen_tcp(bool loopback_only, int& port);
int connect_tcp(const std::string& address, int port, std::chrono::milliseconds limit);
std::vector<std::string> host_addresses();  ///< of the interfaces that are up, without the loopback
std::string host_name();

/// One line, without its newline, or nothing when the limit or the connection ends first.
std::string read_line(int fd, std::chrono::milliseconds limit);
bool write_all(int fd, const std::string& text);

}  // namespace cornstarch::comm
