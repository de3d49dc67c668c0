#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cornstarch/base/diagnostics.h"
#include "cornstarch/config/run_config.h"

namespace cornstarch::config {

class SourceText;

/// Where something was written, in a text that many places share. Columns count bytes from 1.
struct Place {
  std::shared_ptr<const SourceText> source;
  int line = 0;
  int column = 0;
  int length = 1;
};

/// Where each key of a loaded config was written. Keys are config paths: "model.encoders.vision.parallel.tp",
/// "model.llm.parallel.stages[1][0]"; the place is that of the value, or of the key for a map.
class SourceMap {
 public:
  void set(std::string path, Place place) { places_[std::move(path)] = std::move(place); }
  void set(std::string path, const SourceSpan& span);
  /// Whether `path` itself was written, in the file or by --set.
  bool has(const std::string& path) const { return places_.count(path) > 0; }
  /// The place of `path`, or of its nearest ancestor that was written, or of the file.
  SourceSpan at(const std::string& path) const;
  Place place(const std::string& path) const;

 private:
  std::map<std::string, Place> places_;
};

struct Loaded {
  RunConfig config;
  SourceMap where;
};

/// Reads a YAML config, applies `--set` overrides ("a.b[1].c=value") in order, translates the aliases of
/// Cornstarch's users, expands `~` and `${VAR}` in paths and makes them absolute (relative to the config
/// file; those in --set and run_dir: to the current directory) and checks types and ranges. Every problem is
/// appended to `diagnostics`; the result is what could be read, so that later checks can add theirs, and
/// nothing if the file is no YAML map at all.
std::optional<Loaded> load(const std::filesystem::path& file, const std::vector<std::string>& overrides,
                           Diagnostics& diagnostics);

/// The same for a text that stands for a file called `name` in the folder `base`.
std::optional<Loaded> load_text(const std::string& text, const std::string& name,
                                const std::filesystem::path& base, const std::vector<std::string>& overrides,
                                Diagnostics& diagnostics);

/// The config as YAML with every key spelt out, in canonical spelling and with absolute paths; loads to the
/// same value.
std::string dump(const RunConfig& config);

/// A key whose value differs between two configs; "" where it is not there.
struct Change {
  std::string key;  ///< "optimizer.lr"
  std::string before, after;
};

/// What differs between two dumps, in the order of the second.
std::vector<Change> changes(const std::string& before, const std::string& after);

/// JSON Schema (draft-07) of the config, for editors.
std::string json_schema();

/// A key that --set can name.
struct KeyInfo {
  std::string path;                 ///< "model.encoders.*.family": any name may stand for the star
  std::vector<std::string> values;  ///< of a choice, or true and false
  bool is_path = false;
  bool is_map = false;  ///< of anything: --set names what is in it
};
std::vector<KeyInfo> keys();

/// docs/config.md.
std::string reference_markdown();

/// "model.layers.0..5" -> model.layers.0, ..., model.layers.5; any other entry is itself. Nothing if the
/// range is malformed or empty (5..3).
std::optional<std::vector<std::string>> expand_module_range(const std::string& entry);

/// The range that an entry writes as other programs do: "layers[0:2]", "layers.0-1", "layers.{0..1}" are
/// layers.0..1.
std::optional<std::string> meant_range(const std::string& entry);

}  // namespace cornstarch::config
