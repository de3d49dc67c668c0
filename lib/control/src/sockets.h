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
/// `host`: a name or an address. `why`: why not, in words.
int connect_tcp(const std::string& host, int port, std::chrono::milliseconds limit,
                std::string* why = nullptr);
/// -1, too, if nobody waits or there are no descriptors left.
int accept_tcp(int listener);
std::vector<std::string> host_addresses();  ///< of the interfaces that are up, without the loopback

/// So many bytes, or fewer when the limit or the connection ends first.
std::string read_bytes(int fd, std::size_t count, std::chrono::milliseconds limit);
bool write_all(int fd, std::string_view text);
/// Whether the other end has closed the connection, and all that it sent has been read.
bool has_ended(int fd);

}  // namespace cornstarch::control
