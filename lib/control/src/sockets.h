#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

/// The few things that the control plane needs of TCP. Functions return -1 or nothing on failure, and errno
/// says why.
namespace cornstarch::control {

/// Port 0 stands for any that is free; `port` is then which.
int listen_tcp(bool loopback_only, int& port);
/// `host`: a name or an address.
int connect_tcp(const std::string& host, int port, std::chrono::milliseconds limit);
/// -1, too, if nobody waits or there are no descriptors left.
int accept_tcp(int listener);
std::vector<std::string> host_addresses();  ///< of the interfaces that are up, without the loopback
std::string host_name();

/// So many bytes, or fewer when the limit or the connection ends first.
std::string read_bytes(int fd, std::size_t count, std::chrono::milliseconds limit);
bool write_all(int fd, std::string_view text);

}  // namespace cornstarch::control
