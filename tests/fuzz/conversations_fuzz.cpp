#include <algorithm>
#include <nlohmann/json.hpp>

#include "conversation.h"
#include "input.h"
#include "sample_splitter.h"

namespace {

using namespace cornstarch;
using namespace cornstarch::dataio;
using fuzz::require;
using Json = nlohmann::json;

/// Samples lie inside of the text, one behind the other, and the same wherever it is cut.
void split(std::string_view text, std::size_t chunk) {
  std::vector<SamplePlace> whole, pieces;
  SampleSplitter at_once, bit_by_bit;
  const bool good = at_once.split(text, true, whole).has_value();
  std::size_t done = 0;
  bool same = true;
  for (std::size_t end = std::min(chunk, text.size()); same; end = std::min(end + chunk, text.size())) {
    std::vector<SamplePlace> places;
    const auto used = bit_by_bit.split(text.substr(done, end - done), end == text.size(), places);
    for (SamplePlace place : places) {
      place.offset += done;
      pieces.push_back(place);
    }
    if (!used || end == text.size()) {
      require(used.has_value() == good);
      break;
    }
    require(*used <= end - done);
    done += *used;
  }
  require(pieces.size() == whole.size() || !good);
  std::size_t reached = 0;
  for (std::size_t i = 0; i < whole.size(); ++i) {
    require(whole[i].offset >= reached && whole[i].length > 0 &&
            whole[i].offset + whole[i].length <= text.size());
    reached = whole[i].offset + whole[i].length;
    require(!good || (pieces[i].offset == whole[i].offset && pieces[i].length == whole[i].length &&
                      pieces[i].line == whole[i].line));
    (void)read_conversation(text.substr(whole[i].offset, whole[i].length));
  }
}

/// A conversation that is one, with what must come out.
void made_up(fuzz::Input& input) {
  Json sample, turns = Json::array();
  std::vector<std::string> texts, files;
  for (std::size_t n = 1 + input.below(4); n-- > 0;) {
    const char* from[] = {"human", "gpt", "user", "assistant"};
    texts.emplace_back(input.word());
    turns.push_back({{"from", from[input.below(4)]}, {"value", texts.back()}});
  }
  for (std::size_t n = input.below(4); n-- > 0;) files.emplace_back(input.word());
  if (input.yes()) sample["id"] = {{"a", {1, 2.5, nullptr}}, {"conversations", {{"from", 1}}}};
  sample["conversations"] = turns;
  if (files.size() == 1 && input.yes())
    sample["image"] = files[0];
  else if (!files.empty())
    sample["images"] = files;
  const std::string text =
      sample.dump(input.yes() ? 1 : -1, ' ', input.yes(), Json::error_handler_t::replace);
  const auto read = read_conversation(text);
  const Json back = Json::parse(text);
  const auto is_address = [](const Json& name) {
    return name.get<std::string>().substr(0, 16).find("://") != std::string::npos;
  };
  const Json names =
      back.contains("image") ? Json::array({back["image"]}) : back.value("images", Json::array());
  if (std::any_of(texts.begin(), texts.end(), [](const auto& each) { return has_part_mark(each); }) ||
      std::any_of(names.begin(), names.end(), is_address))
    return require(!read);
  require(read.has_value() && read->turns.size() == texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i)
    require(read->turns[i].text == back["conversations"][i]["value"].get<std::string>());
  require(read->files[0].size() == files.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const std::size_t chunk = input.byte();
  if (chunk == 0) {
    made_up(input);
  } else {
    split(input.rest(), chunk);
  }
  return 0;
}
