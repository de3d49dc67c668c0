#include "header.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "cornstarch/base/checked.h"
#include "cornstarch/base/text.h"
#include "dtype.h"
#include "json_walk.h"

namespace cornstarch::formats {
namespace {

const char* const kIncomplete = "is the download complete?";

/// What the description of a tensor says; what is not of its kind is left out.
struct Description {
  std::optional<std::string> dtype;
  std::optional<std::vector<std::int64_t>> shape, offsets;
};

Result<TensorEntry> check_entry(const Description& given) {
  if (!given.dtype) return fail(ExitCode::bad_data, "it has no dtype");
  const auto dtype = parse_dtype(*given.dtype);
  if (!dtype) {
    return fail(ExitCode::bad_data, cat("dtype ", printable(*given.dtype), " is not supported"),
                cat("known are ", dtype_names()));
  }
  const auto& shape = given.shape;
  if (!shape) return fail(ExitCode::bad_data, "its shape is not a list of numbers that are not negative");
  const auto& offsets = given.offsets;
  if (!offsets || offsets->size() != 2 || (*offsets)[0] > (*offsets)[1]) {
    return fail(ExitCode::bad_data, "its data_offsets are not a begin and an end");
  }
  const auto numel = checked_numel(*shape);
  const auto bytes = numel ? checked_mul(*numel, size_of(*dtype)) : std::nullopt;
  if (!bytes) return fail(ExitCode::bad_data, "its shape is too large to count");
  const std::int64_t length = (*offsets)[1] - (*offsets)[0];
  if (length != *bytes) {
    return fail(ExitCode::bad_data, cat("its shape and dtype ", name_of(*dtype), " need ", *bytes,
                                        " bytes, its data_offsets give ", length));
  }
  TensorEntry entry{.dtype = *dtype, .shape = *shape};
  entry.begin = static_cast<std::uint64_t>((*offsets)[0]);
  entry.end = static_cast<std::uint64_t>((*offsets)[1]);
  return entry;
}

class HeaderReader : public JsonWalk {
 public:
  std::map<std::string, TensorEntry> tensors;

 private:
  void value(const Value& v) override {
    switch (depth()) {
      case 0:
        if (v.kind != Kind::object) refuse("the header is not a JSON object");
        return;
      case 1:
        if (v.kind == Kind::object) return;
        return refuse(metadata_
                          ? kNoMetadata
                          : cat("tensor ", printable(tensor_), ": its description is not a JSON object"));
      case 2:
        if (metadata_ && v.kind != Kind::text) refuse(kNoMetadata);
        if (!metadata_) take_field(v);
        return;
      case 3:
        take_number(v);
    }
  }

  void name(std::string& key) override {
    if (depth() == 2) field_ = key;
    if (depth() != 1) return;
    metadata_ = key == "__metadata__";
    if (metadata_ ? std::exchange(metadata_seen_, true) : tensors.contains(key)) return refuse_twice(key);
    if (tensors.size() == kMostTensors) return refuse(cat("it has more than ", kMostTensors, " tensors"));
    tensor_ = key;
    description_ = {};
    seen_.clear();
  }

  void take_field(const Value& v) {
    list_ = nullptr;
    if (field_ != "dtype" && field_ != "shape" && field_ != "data_offsets") return;
    if (!seen_.insert(field_).second) return refuse_twice(field_);
    if (field_ == "dtype" && v.kind == Kind::text) description_.dtype = *v.text;
    if (field_ == "dtype" || v.kind != Kind::list) return;
    list_ = field_ == "shape" ? &description_.shape : &description_.offsets;
    list_->emplace();
  }

  void take_number(const Value& v) {
    if (list_ == nullptr) return;
    if ((*list_)->size() == kMostDimensions)
      return refuse(cat("tensor ", printable(tensor_), ": its ", field_, " has more than ", kMostDimensions,
                        " numbers"));
    if (v.kind == Kind::natural) return (*list_)->push_back(v.natural);
    list_->reset();
    list_ = nullptr;
  }

  void end() override {
    if (depth() == 2) list_ = nullptr;
    if (depth() != 1 || metadata_) return;
    auto entry = check_entry(description_);
    if (!entry)
      return refuse(cat("tensor ", printable(tensor_), ": ", entry.error().message), entry.error().help);
    tensors.emplace(tensor_, std::move(*entry));
  }

  /// Readers differ in which of the two they take.
  void refuse_twice(const std::string& key) {
    refuse(cat("the header has the key ", printable(key), " twice"));
  }

  static constexpr const char* kNoMetadata = "__metadata__ is not a map of texts";
  static constexpr std::size_t kMostTensors = std::size_t{1} << 20, kMostDimensions = 64;
  std::string tensor_, field_;
  bool metadata_ = false, metadata_seen_ = false;
  Description description_;
  std::set<std::string> seen_;  ///< of the fields that count
  std::optional<std::vector<std::int64_t>>* list_ = nullptr;
};

/// Tensors lie one after the other, without holes, and fill the file.
Result<void> check_layout(const std::map<std::string, TensorEntry>& tensors, std::uint64_t data_size) {
  std::vector<const std::pair<const std::string, TensorEntry>*> order;
  for (const auto& item : tensors) order.push_back(&item);
  std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    return std::pair(a->second.begin, a->second.end) < std::pair(b->second.begin, b->second.end);
  });
  std::uint64_t reached = 0;
  std::string last;
  for (const auto* item : order) {
    const auto& [name, entry] = *item;
    if (entry.begin < reached) {
      return fail(ExitCode::bad_data, cat("tensor ", printable(name), " begins at byte ", entry.begin,
                                          ", inside of ", printable(last), ", which ends at ", reached));
    }
    if (entry.begin > reached) {
      return fail(ExitCode::bad_data, cat("bytes ", reached, " to ", entry.begin, ", before tensor ",
                                          printable(name), ", belong to no tensor"));
    }
    reached = entry.end;
    last = name;
  }
  if (reached > data_size) {
    return fail(ExitCode::bad_data, cat("its tensors need ", reached, " bytes of data, it has ", data_size),
                kIncomplete);
  }
  if (reached < data_size) {
    return fail(ExitCode::bad_data,
                cat("it has ", data_size - reached, " bytes behind its last tensor that belong to none"));
  }
  return {};
}

}  // namespace

std::string printable(const std::string& name) {
  constexpr std::size_t kLongest = 100;
  std::string out = name.substr(0, kLongest);
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '?';
  }
  return cat("'", out, name.size() > kLongest ? "..." : "", "'");
}

Result<std::map<std::string, TensorEntry>> parse_header(std::string_view text, std::uint64_t data_size) {
  HeaderReader reader;
  if (auto read = reader.through(text, "the header"); !read) return tl::unexpected(read.error());
  if (const auto ok = check_layout(reader.tensors, data_size); !ok) return tl::unexpected(ok.error());
  return std::move(reader.tensors);
}

}  // namespace cornstarch::formats
