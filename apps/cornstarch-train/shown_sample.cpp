#include "shown_sample.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "cornstarch/base/text.h"
#include "cornstarch/base/untrusted.h"
#include "cornstarch/base/utf8.h"
#include "cornstarch/base/words.h"

namespace cornstarch::app {
namespace {

using Json = nlohmann::ordered_json;

Result<void> add_items(const dataio::ConversationDataset& data, std::int64_t sample, int encoder,
                       ShownSample& out) {
  auto files = data.files(sample, encoder);
  if (!files) return tl::unexpected(files.error());
  const auto made = data.media(sample, encoder);
  if (!made) return tl::unexpected(made.error());
  for (std::size_t i = 0; i < made->size(); ++i) {
    const dataio::MediaItem& item = (*made)[i];
    dataio::Image picture = data.picture_of(item, (*files)[i].extents, encoder);
    out.items.push_back({data.options().media[static_cast<std::size_t>(encoder)].placeholder,
                         std::move((*files)[i]), item.shape, item.cut, std::move(picture)});
  }
  return {};
}

/// Which item each placeholder of a row stands for, in the order of the row.
class ItemOfPlaceholder {
 public:
  ItemOfPlaceholder(const dataio::ConversationDataset& data, const ShownSample& sample) {
    const auto& sources = data.options().media;
    int item = 0;
    for (std::size_t e = 0; e < sources.size(); ++e) {
      items_.emplace_back();
      while (item < std::ssize(sample.items) &&
             sample.items[static_cast<std::size_t>(item)].placeholder == sources[e].placeholder) {
        const auto& file = sample.items[static_cast<std::size_t>(item)].file;
        items_.back().insert(items_.back().end(), static_cast<std::size_t>(sources[e].features(file.extents)),
                             item);
        ++item;
      }
    }
    used_.resize(items_.size());
  }

  int next(std::int64_t id) {
    const auto e = static_cast<std::size_t>(catalog::encoder_of(id));
    return used_[e] < items_[e].size() ? items_[e][used_[e]++] : -1;
  }

 private:
  std::vector<std::vector<int>> items_;  ///< per encoder, of each of its placeholders
  std::vector<std::size_t> used_;
};

void add_stretches(const dataio::ConversationDataset& data, const dataio::TextRow& row, ShownSample& out) {
  ItemOfPlaceholder item_of(data, out);
  for (std::int64_t i = 0; i < row.length; ++i) {
    const std::int64_t id = row.ids[static_cast<std::size_t>(i)];
    const bool learnt = row.labels[static_cast<std::size_t>(i)] != dataio::kIgnoreLabel;
    const bool feature = catalog::is_placeholder(id);
    const int item = feature ? item_of.next(id) : -1;
    if (out.stretches.empty() || out.stretches.back().learnt != learnt || out.stretches.back().item != item)
      out.stretches.push_back({i, learnt, item, {}, {}});
    out.stretches.back().ids.push_back(id);
    if (!feature) out.stretches.back().texts.push_back(lossy_utf8(data.tokenizer().decode({id})));
    out.learnt += learnt ? 1 : 0;
  }
}

/// Without line breaks and what a terminal might obey.
std::string on_one_line(const std::string& text) {
  std::string out;
  for (const char c : harmless(text)) out += c == '\n' ? "\\n" : c == '\t' ? "\\t" : std::string(1, c);
  return out;
}

std::vector<std::string> lines_of(const ShownSample& sample, const ShownSample::Stretch& stretch,
                                  std::size_t width) {
  if (stretch.item >= 0) {
    const ShownSample::Item& item = sample.items[static_cast<std::size_t>(stretch.item)];
    return {cat("[", stretch.ids.size(), " features of ", item.placeholder, ": ", describe(item), "]")};
  }
  std::vector<std::string> lines = {""};
  for (const std::string& text : stretch.texts) {
    const std::string token = on_one_line(text);
    if (!lines.back().empty() && lines.back().size() + token.size() + 1 > width) lines.emplace_back();
    lines.back() += cat(lines.back().empty() ? "" : "|", token);
  }
  return lines;
}

}  // namespace

Result<ShownSample> show_sample(const dataio::ConversationDataset& data, std::int64_t number) {
  if (number > data.size())
    return fail(ExitCode::usage, cat("--sample ", number, ": the data set has ", data.size(), " samples"));
  ShownSample out;
  out.number = number;
  const std::int64_t sample = number - 1;
  out.place = data.place(sample);
  const auto row = data.text(sample);
  if (!row) return tl::unexpected(row.error());
  const auto whole = data.whole_text(sample);
  if (!whole) return tl::unexpected(whole.error());
  out.tokens = row->length;
  out.cut_off = whole->length - row->length;
  for (int e = 0; e < static_cast<int>(data.options().media.size()); ++e)
    if (auto added = add_items(data, sample, e, out); !added) return tl::unexpected(added.error());
  add_stretches(data, *row, out);
  return out;
}

std::string describe(const ShownSample::Item& item) {
  std::string out = item.file.name;
  if (item.file.width > 0) out += cat(", ", item.file.width, " x ", item.file.height, " pixels");
  if (item.file.seconds) {
    char seconds[32];
    std::snprintf(seconds, sizeof seconds, ", %.1f s", *item.file.seconds);
    out += seconds;
  }
  return cat(out, ", as ", describe_shape(item.shape), item.cut ? ", the rest cut off" : "");
}

std::string to_text(const ShownSample& sample, std::size_t width, bool color) {
  std::string out = cat("sample ", sample.number, ", ", sample.place, ": ", sample.tokens, " tokens, ",
                        sample.learnt, " of them learnt (>)");
  if (sample.cut_off > 0) out += cat(", ", sample.cut_off, " more cut off");
  out += "\n\n";
  constexpr std::size_t kMargin = 17;
  for (const ShownSample::Stretch& stretch : sample.stretches) {
    const auto last = stretch.first + std::ssize(stretch.ids);
    char place[64];
    std::snprintf(place, sizeof place, "%s %6lld..%-6lld", stretch.learnt ? ">" : " ",
                  static_cast<long long>(stretch.first + 1), static_cast<long long>(last));
    std::string margin = place;
    margin.resize(kMargin, ' ');
    for (const std::string& line : lines_of(sample, stretch, width - kMargin)) {
      out += cat(margin, stretch.learnt && color ? "\x1b[1;32m" : "", line,
                 stretch.learnt && color ? "\x1b[0m" : "", "\n");
      margin = stretch.learnt ? ">" : " ";
      margin.resize(kMargin, ' ');
    }
  }
  return out;
}

Json to_json(const ShownSample& sample) {
  Json out = {{"sample", sample.number}, {"place", sample.place},     {"tokens", sample.tokens},
              {"learnt", sample.learnt}, {"cut_off", sample.cut_off}, {"stretches", Json::array()},
              {"items", Json::array()}};
  for (const ShownSample::Stretch& s : sample.stretches) {
    Json stretch = {{"first", s.first}, {"learnt", s.learnt}};
    if (s.item >= 0) {
      stretch["item"] = s.item;
      stretch["features"] = s.ids.size();
    } else {
      stretch["ids"] = s.ids;
      stretch["texts"] = s.texts;
    }
    out["stretches"].push_back(std::move(stretch));
  }
  for (const ShownSample::Item& item : sample.items) {
    Json each = {{"placeholder", item.placeholder}, {"file", item.file.name}, {"shape", item.shape}};
    if (item.file.width > 0) each["pixels"] = {item.file.width, item.file.height};
    if (item.file.seconds) each["seconds"] = *item.file.seconds;
    if (item.cut) each["cut"] = true;
    out["items"].push_back(std::move(each));
  }
  return out;
}

}  // namespace cornstarch::app
