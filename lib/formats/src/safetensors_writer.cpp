#include <algorithm>
#include <nlohmann/json.hpp>

#include "cornstarch/base/checked.h"
#include "cornstarch/base/files.h"
#include "cornstarch/base/text.h"
#include "dtype.h"
#include "header.h"

namespace cornstarch::formats {
namespace {

constexpr std::size_t kAlignment = 8;

Result<void> check_sizes(const std::vector<const TensorToWrite*>& order) {
  std::vector<std::string> names;
  for (const TensorToWrite* tensor : order) {
    const auto numel = checked_numel(tensor->shape);
    const auto bytes = numel ? checked_mul(*numel, size_of(tensor->dtype)) : std::nullopt;
    if (!bytes || static_cast<std::uint64_t>(*bytes) != tensor->bytes.size()) {
      return fail(ExitCode::internal, cat("tensor ", printable(tensor->name), " has ", tensor->bytes.size(),
                                          " bytes, not those of its shape"));
    }
    names.push_back(tensor->name);
  }
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end())
    return fail(ExitCode::internal, cat("tensor ", printable(*twice), " is given twice"));
  if (std::binary_search(names.begin(), names.end(), "__metadata__")) {
    return fail(ExitCode::internal, "no tensor can be called __metadata__");
  }
  return {};
}

std::vector<const TensorToWrite*> in_order(const std::vector<TensorToWrite>& tensors) {
  std::vector<const TensorToWrite*> order;
  for (const TensorToWrite& tensor : tensors) order.push_back(&tensor);
  std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    return std::pair(write_rank(a->dtype), std::string_view(a->name)) <
           std::pair(write_rank(b->dtype), std::string_view(b->name));
  });
  return order;
}

/// The header as Hugging Face's writer makes it: padded with spaces, so that the data is aligned.
std::string header_text(const std::vector<const TensorToWrite*>& order) {
  nlohmann::ordered_json header;
  header["__metadata__"] = {{"format", "pt"}};
  std::uint64_t begin = 0;
  for (const TensorToWrite* tensor : order) {
    const std::uint64_t end = begin + tensor->bytes.size();
    header[tensor->name] = {
        {"dtype", name_of(tensor->dtype)}, {"shape", tensor->shape}, {"data_offsets", {begin, end}}};
    begin = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + kAlignment - 1) / kAlignment * kAlignment, ' ');
  return text;
}

}  // namespace

Result<SafetensorsLayout> lay_out_safetensors(const std::vector<TensorToWrite>& tensors) {
  const std::vector<const TensorToWrite*> order = in_order(tensors);
  if (const auto ok = check_sizes(order); !ok) return tl::unexpected(ok.error());
  const std::string header = header_text(order);
  SafetensorsLayout out;
  for (int i = 0; i < 8; ++i) out.head.push_back(static_cast<char>(header.size() >> (8 * i) & 0xFF));
  out.head += header;
  out.places.resize(tensors.size());
  std::uint64_t at = out.head.size();
  for (const TensorToWrite* tensor : order) {
    out.places[static_cast<std::size_t>(tensor - tensors.data())] = at;
    at += tensor->bytes.size();
  }
  return out;
}

Result<void> write_safetensors(const std::filesystem::path& path, const std::vector<TensorToWrite>& tensors) {
  const auto layout = lay_out_safetensors(tensors);
  if (!layout) return tl::unexpected(layout.error());
  std::vector<std::string_view> parts = {layout->head};
  for (const TensorToWrite* tensor : in_order(tensors))
    parts.emplace_back(reinterpret_cast<const char*>(tensor->bytes.data()), tensor->bytes.size());
  return write_file_atomically(path, parts);
}

}  // namespace cornstarch::formats
