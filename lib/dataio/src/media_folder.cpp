#include "media_folder.h"

#include <sys/stat.h>

#include <algorithm>

#include "cornstarch/base/files.h"
#include "cornstarch/base/text.h"

namespace cornstarch::dataio {
namespace {

namespace fs = std::filesystem;

/// Where each sample has a folder of its own, remembering them would not pay.
constexpr std::size_t kRemembered = 4096;

}  // namespace

std::optional<fs::path> MediaFolder::folder(const std::string& name) const {
  {
    const std::lock_guard lock(state_->mutex);
    if (const auto known = state_->folders.find(name); known != state_->folders.end()) return known->second;
  }
  const auto path = resolve_inside(root_, name.empty() ? "." : name);
  if (!path) return std::nullopt;
  const std::lock_guard lock(state_->mutex);
  if (state_->folders.size() >= kRemembered) state_->folders.clear();
  state_->folders.emplace(name, *path);
  return *path;
}

Result<fs::path> MediaFolder::find(const std::string& name) const {
  const std::size_t slash = std::min(name.rfind('/'), name.size());
  const std::string last = slash == name.size() ? name : name.substr(slash + 1);
  const bool plain =
      !last.empty() && last != "." && last != ".." && slash != 0 && last.find('\0') == std::string::npos;
  struct stat info{};
  if (plain) {
    const auto within = folder(slash == name.size() ? "" : name.substr(0, slash));
    if (within && ::lstat((*within / last).c_str(), &info) == 0 && S_ISREG(info.st_mode))
      return *within / last;
  }
  // A link, or something wrong: the slow way tells which.
  auto path = resolve_inside(root_, name);
  if (!path && path.error().code == ExitCode::bad_data)
    path.error().help = "list paths relative to media_root, a folder that holds all of them";
  if (path && (::stat(path->c_str(), &info) != 0 || !S_ISREG(info.st_mode)))
    return fail(ExitCode::missing_input, cat("'", name, "' is not a file in '", root_.string(), "'"),
                "media_root is the folder in which the paths of a data set begin");
  return path;
}

}  // namespace cornstarch::dataio
