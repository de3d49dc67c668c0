#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "cornstarch/base/result.h"
#include "cornstarch/launch/environment.h"

/// What only the processes of a run know, and how they prove that they do.
namespace cornstarch::control {

std::string random_bytes(std::size_t count);
std::string to_hex(std::string_view bytes);
std::string from_hex(std::string_view text);  ///< what is no hex counts as 0

/// HMAC-SHA256, 32 bytes, over the parts one behind the other, each behind its length.
std::string sign(std::string_view secret, std::initializer_list<std::string_view> parts);

/// Takes as long for any two texts of one length.
bool equal_secretly(std::string_view a, std::string_view b);

/// CORNSTARCH_SECRET where it is set, else what stands in a file that only the user reads
/// ($XDG_CONFIG_HOME/cornstarch-train/secret, ~/.config without XDG_CONFIG_HOME); whichever process needs it
/// first makes it. Error 69 where others could read the file, or there is no place for it.
Result<std::string> user_secret(const launch::GetEnv& get_env);

}  // namespace cornstarch::control
