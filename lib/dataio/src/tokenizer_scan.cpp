#include "tokenizer_scan.h"

#include <simdjson.h>

#include <optional>
#include <string>
#include <utility>

#include "cornstarch/base/text.h"

namespace cornstarch::dataio {
namespace {

namespace on_demand = simdjson::ondemand;

constexpr std::int64_t kMaxId = 1 << 24;

tl::unexpected<Error> wrong(const std::string& what) { return fail(ExitCode::bad_data, what); }

std::string_view raw(on_demand::value value) { return simdjson::to_json_string(value); }

/// "a b" in older files, ["a", "b"] in newer ones. The texts live as long as `joined` and the parser.
std::optional<std::pair<std::string_view, std::string_view>> parts_of(on_demand::value merge) {
  std::string_view text;
  if (merge.get_string().get(text) == simdjson::SUCCESS) {
    const std::size_t space = text.find(' ');
    if (space == std::string_view::npos || text.find(' ', space + 1) != std::string_view::npos)
      return std::nullopt;
    return std::pair(text.substr(0, space), text.substr(space + 1));
  }
  on_demand::array both;
  if (merge.get_array().get(both) != simdjson::SUCCESS) return std::nullopt;
  std::string_view parts[2];
  std::size_t count = 0;
  for (on_demand::value part : both) {
    if (count == 2 || part.get_string().get(parts[count]) != simdjson::SUCCESS) return std::nullopt;
    ++count;
  }
  if (count != 2) return std::nullopt;
  return std::pair(parts[0], parts[1]);
}

}  // namespace

Result<std::int64_t> token_id(const Json& value, std::string_view token) {
  if (!value.is_number_integer()) return wrong(cat("the id of token '", token, "' is ", kind_of(value)));
  if (value.is_number_unsigned() ? value.get<std::uint64_t>() > std::uint64_t{kMaxId}
                                 : value.get<std::int64_t>() < 0)
    return wrong(cat("the id of token '", token, "' is outside 0..", kMaxId));
  return value.get<std::int64_t>();
}

struct TokenizerScan::State {
  explicit State(std::string_view json) : text(json) {}

  on_demand::object root() {
    document.rewind();
    return document.get_object();
  }
  /// What simdjson has no words for: the slow parser says what is wrong and where.
  tl::unexpected<Error> failure(const simdjson::simdjson_error& error) const {
    auto whole = parse_json(std::string_view(text.data(), text.size()));
    if (!whole) return tl::unexpected(whole.error());
    return wrong(cat("not a tokenizer: ", error.what()));
  }

  simdjson::padded_string text;
  on_demand::parser parser;
  on_demand::document document;
};

TokenizerScan::TokenizerScan(std::unique_ptr<State> state) : state_(std::move(state)) {}
TokenizerScan::TokenizerScan(TokenizerScan&&) noexcept = default;
TokenizerScan::~TokenizerScan() = default;

Result<TokenizerScan> TokenizerScan::open(std::string_view json) {
  if (json.starts_with("\xEF\xBB\xBF")) json.remove_prefix(3);
  auto state = std::make_unique<State>(json);
  try {
    state->document = state->parser.iterate(state->text);
    if (state->document.type() != on_demand::json_type::object) {
      auto whole = parse_json(json);
      return whole ? wrong("not an object") : tl::unexpected(whole.error());
    }
  } catch (const simdjson::simdjson_error& error) {
    return state->failure(error);
  }
  return TokenizerScan(std::move(state));
}

Result<Json> TokenizerScan::rest() {
  Json rest = Json::object();
  const auto keep = [](Json& object, on_demand::field field) -> Result<void> {
    const auto key = std::string(std::string_view(field.unescaped_key()));
    auto value = parse_json(raw(field.value()));
    if (!value) return tl::unexpected(value.error());
    object[key] = std::move(*value);
    return {};
  };
  try {
    for (on_demand::field field : state_->root()) {
      const bool is_model = field.key() == "model";
      on_demand::object model;
      if (!is_model || field.value().get_object().get(model) != simdjson::SUCCESS) {
        auto done = keep(rest, field);
        if (!done) return tl::unexpected(done.error());
        continue;
      }
      rest["model"] = Json::object();
      for (on_demand::field inner : model) {
        if (inner.key() == "vocab" || inner.key() == "merges") continue;
        auto done = keep(rest["model"], inner);
        if (!done) return tl::unexpected(done.error());
      }
    }
    const char* more = nullptr;
    if (state_->document.current_location().get(more) == simdjson::SUCCESS)
      throw simdjson::simdjson_error(simdjson::TAPE_ERROR);
  } catch (const simdjson::simdjson_error& error) {
    return state_->failure(error);
  }
  return rest;
}

Result<Vocabulary> TokenizerScan::vocabulary() {
  Vocabulary vocabulary;
  try {
    on_demand::object vocab;
    if (state_->root()["model"]["vocab"].get_object().get(vocab) != simdjson::SUCCESS)
      return wrong("model.vocab is not an object");
    for (on_demand::field field : vocab) {
      const std::string_view token = field.unescaped_key();
      on_demand::value value = field.value();
      std::int64_t id = 0;
      if (value.get_int64().get(id) != simdjson::SUCCESS || id < 0 || id > kMaxId) {
        auto slow = parse_json(raw(value));
        auto checked = slow ? token_id(*slow, token) : tl::unexpected(slow.error());
        if (!checked) return tl::unexpected(checked.error());
        id = *checked;
      }
      vocabulary.add(token, static_cast<std::int32_t>(id));
    }
  } catch (const simdjson::simdjson_error& error) {
    return state_->failure(error);
  }
  return vocabulary;
}

Result<std::vector<Merge>> TokenizerScan::merges(const Vocabulary& vocabulary) {
  std::vector<Merge> merges;
  try {
    on_demand::array list;
    if (state_->root()["model"]["merges"].get_array().get(list) != simdjson::SUCCESS)
      return wrong("model.merges is not a list");
    std::string both;
    for (on_demand::value value : list) {
      const auto parts = parts_of(value);
      if (!parts) return wrong(cat("merge ", merges.size() + 1, " is not two tokens"));
      both.assign(parts->first).append(parts->second);
      const Merge merge{vocabulary.find(parts->first), vocabulary.find(parts->second), vocabulary.find(both)};
      if (merge.left < 0 || merge.right < 0 || merge.both < 0)
        return wrong(cat("the merge of '", parts->first, "' and '", parts->second, "' has no token"));
      merges.push_back(merge);
    }
  } catch (const simdjson::simdjson_error& error) {
    return state_->failure(error);
  }
  return merges;
}

}  // namespace cornstarch::dataio
