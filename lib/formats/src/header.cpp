#include "header.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "cornstarch/base/checked.h"
#include "cornstarch/base/text.h"
#include "dtype.h"

namespace cornstarch::formats {
namespace {

using nlohmann::json;

const char* const kIncomplete = "is the download complete?";

/// Parses with duplicate keys refused: nlohmann keeps the last one, other readers the first.
Result<json> parse_unique(std::string_view text) {
  std::vector<std::set<std::string>> keys;  // of the objects that are open
  std::string duplicate;
  const auto watch = [&](int, json::parse_event_t event, json& parsed) {
    if (event == json::parse_event_t::object_start) keys.emplace_back();
    if (event == json::parse_event_t::object_end && !keys.empty()) keys.pop_back();
    if (event == json::parse_event_t::key && !keys.back().insert(parsed.get<std::string>()).second) {
      if (duplicate.empty()) duplicate = printable(parsed.get<std::string>());
    }
    return true;
  };
  json parsed = json::parse(text.begin(), text.end(), watch, false);
  if (parsed.is_discarded()) return fail(ExitCode::bad_data, "the header is not JSON");
  if (!duplicate.empty())
    return fail(ExitCode::bad_data, cat("the header has the key ", duplicate, " twice"));
  if (!parsed.is_object()) return fail(ExitCode::bad_data, "the header is not a JSON object");
  return parsed;
}

Result<void> check_metadata(const json& metadata) {
  const bool strings =
      metadata.is_object() &&
      std::all_of(metadata.begin(), metadata.end(), [](const json& value) { return value.is_string(); });
  if (!strings) return fail(ExitCode::bad_data, "__metadata__ is not a map of texts");
  return {};
}

/// The number, if it is an integer of at most 63 bits that is not negative.
std::optional<std::int64_t> natural(const json& value) {
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() > std::uint64_t{INT64_MAX})
    return std::nullopt;
  return value.get<std::int64_t>();
}

std::optional<std::vector<std::int64_t>> naturals(const json& owner, const char* key) {
  const auto it = owner.find(key);
  if (it == owner.end() || !it->is_array()) return std::nullopt;
  std::vector<std::int64_t> out;
  for (const json& value : *it) {
    const auto number = natural(value);
    if (!number) return std::nullopt;
    out.push_back(*number);
  }
  return out;
}

Result<TensorEntry> parse_entry(const json& fields) {
  if (!fields.is_object()) return fail(ExitCode::bad_data, "its description is not a JSON object");
  const auto type = fields.find("dtype");
  if (type == fields.end() || !type->is_string()) return fail(ExitCode::bad_data, "it has no dtype");
  const auto dtype = parse_dtype(type->get<std::string>());
  if (!dtype) {
    return fail(ExitCode::bad_data, cat("dtype ", printable(type->get<std::string>()), " is not supported"),
                cat("known are ", dtype_names()));
  }
  const auto shape = naturals(fields, "shape");
  if (!shape) return fail(ExitCode::bad_data, "its shape is not a list of numbers that are not negative");
  const auto offsets = naturals(fields, "data_offsets");
  if (!offsets || offsets->size() != 2 || (*offsets)[0] > (*offsets)[1]) {
    return fail(ExitCode::bad_data, "its data_offsets are not a begin and an end");
  }
  const auto numel = checked_numel(*shape);
  const auto bytes = numel ? checked_mul(*numel, size_of(*dtype)) : std::nullopt;
  if (!bytes) return fail(ExitCode::bad_data, "its shape is too large to count");
  const std::int64_t given = (*offsets)[1] - (*offsets)[0];
  if (given != *bytes) {
    return fail(ExitCode::bad_data, cat("its shape and dtype ", name_of(*dtype), " need ", *bytes,
                                        " bytes, its data_offsets give ", given));
  }
  TensorEntry entry{.dtype = *dtype, .shape = *shape};
  entry.begin = static_cast<std::uint64_t>((*offsets)[0]);
  entry.end = static_cast<std::uint64_t>((*offsets)[1]);
  return entry;
}

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
  const auto header = parse_unique(text);
  if (!header) return tl::unexpected(header.error());
  std::map<std::string, TensorEntry> tensors;
  for (const auto& item : header->items()) {
    if (item.key() == "__metadata__") {
      if (const auto ok = check_metadata(item.value()); !ok) return tl::unexpected(ok.error());
      continue;
    }
    auto entry = parse_entry(item.value());
    if (!entry) {
      Error error = entry.error();
      error.message = cat("tensor ", printable(item.key()), ": ", error.message);
      return tl::unexpected(error);
    }
    tensors.emplace(item.key(), std::move(*entry));
  }
  if (const auto ok = check_layout(tensors, data_size); !ok) return tl::unexpected(ok.error());
  return tensors;
}

}  // namespace cornstarch::formats
