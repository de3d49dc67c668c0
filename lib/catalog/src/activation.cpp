#include "activation.h"

#include <utility>

namespace cornstarch::catalog {
namespace {

const std::vector<std::pair<std::string, Activation>>& table() {
  static const std::vector<std::pair<std::string, Activation>> entries = {
      {"gelu", Activation::gelu},
      {"gelu_python", Activation::gelu},
      {"gelu_new", Activation::gelu_tanh},
      {"gelu_pytorch_tanh", Activation::gelu_tanh},
      {"gelu_python_tanh", Activation::gelu_tanh},
      {"gelu_fast", Activation::gelu_tanh},
      {"gelu_accurate", Activation::gelu_tanh},
      {"quick_gelu", Activation::quick_gelu},
      {"silu", Activation::silu},
      {"swish", Activation::silu},
      {"relu", Activation::relu},
  };
  return entries;
}

}  // namespace

std::optional<Activation> parse_activation(const std::string& name) {
  for (const auto& [known, activation] : table()) {
    if (known == name) return activation;
  }
  return std::nullopt;
}

const std::vector<std::string>& activation_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> out;
    for (const auto& entry : table()) out.push_back(entry.first);
    return out;
  }();
  return names;
}

}  // namespace cornstarch::catalog
