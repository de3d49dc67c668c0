#include "dtype.h"

#include <array>

namespace cornstarch::formats {
namespace {

struct Known {
  DType dtype;
  const char* name;
  std::int64_t size;
};

// In the order of safetensors' Dtype, by which its writer sorts (the last come first).
constexpr std::array<Known, 10> kKnown = {{
    {DType::boolean, "BOOL", 1},
    {DType::u8, "U8", 1},
    {DType::i8, "I8", 1},
    {DType::i16, "I16", 2},
    {DType::f16, "F16", 2},
    {DType::bf16, "BF16", 2},
    {DType::i32, "I32", 4},
    {DType::f32, "F32", 4},
    {DType::f64, "F64", 8},
    {DType::i64, "I64", 8},
}};

const Known& known(DType dtype) {
  for (const Known& entry : kKnown) {
    if (entry.dtype == dtype) return entry;
  }
  throw Failure(ExitCode::internal, "a dtype without a name");
}

}  // namespace

std::int64_t size_of(DType dtype) { return known(dtype).size; }

std::string name_of(DType dtype) { return known(dtype).name; }

int write_rank(DType dtype) { return static_cast<int>(kKnown.end() - &known(dtype)); }

std::optional<DType> parse_dtype(const std::string& name) {
  for (const Known& entry : kKnown) {
    if (name == entry.name) return entry.dtype;
  }
  return std::nullopt;
}

std::string dtype_names() {
  std::string out;
  for (const Known& entry : kKnown) out += (out.empty() ? "" : ", ") + std::string(entry.name);
  return out;
}

}  // namespace cornstarch::formats
