#include "read_yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <map>
#include <sstream>
#include <string_view>
#include <utility>

#include "cornstarch/base/text.h"
#include "slips.h"

namespace cornstarch::config {
namespace {

constexpr int kMaxDepth = 64;
constexpr int kMaxNodes = 100000;  // an alias counts as all that it stands for

/// Ends the parse of a text whose problem is reported already.
struct Refused {};

/// The number of bytes that the token at `begin` of `line` covers: a quoted text, a plain one, or a bracket.
int token_length(std::string_view line, std::size_t begin, const std::string& value, bool quoted) {
  if (begin >= line.size()) return 1;
  if (!quoted) {
    if (line.substr(begin, value.size()) == value)
      return static_cast<int>(std::max<std::size_t>(value.size(), 1));
    return static_cast<int>(trim(line.substr(begin)).size());  // a plain text over several lines
  }
  const char quote = line[begin];
  if (quote != '"' && quote != '\'') return 1;  // a block scalar
  for (std::size_t i = begin + 1; i < line.size(); ++i) {
    if (quote == '"' && line[i] == '\\') {
      ++i;
    } else if (line[i] == quote) {
      if (quote == '"' || i + 1 >= line.size() || line[i + 1] != quote)
        return static_cast<int>(i - begin + 1);
      ++i;  // '' inside single quotes
    }
  }
  return static_cast<int>(line.size() - begin);
}

/// The word for null that `rest` begins with. For nothing at all yaml-cpp gives the same event, where the
/// next token starts.
std::string_view null_word(std::string_view rest) {
  for (const std::string_view word : {"null", "Null", "NULL", "~"}) {
    const std::string_view after = rest.substr(std::min(word.size(), rest.size()));
    if (rest.substr(0, word.size()) != word) continue;
    if (after.empty() || std::string_view(" \t,]}").find(after[0]) != std::string_view::npos) return word;
  }
  return {};
}

/// Builds the tree from yaml-cpp's events, which carry a position each.
class Builder : public YAML::EventHandler {
 public:
  Builder(std::shared_ptr<const SourceText> source, int line, int column, Report& report)
      : source_(std::move(source)), line_(line), column_(column), report_(report) {}

  Node take() { return std::move(root_); }
  Place place_of(const YAML::Mark& mark) const {
    if (mark.is_null()) return whole(source_);
    return {source_, mark.line + line_, mark.column + (mark.line == 0 ? column_ : 1), 1};
  }

  /// The innermost list or map that is not complete.
  Place open_place(const Place& otherwise) const {
    return frames_.empty() ? otherwise : frames_.back().node.place;
  }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (documents_++ == 0) return;
    report_.error("yaml_feature", "the text holds more than one YAML document", place_of(mark),
                  "remove the line '---' or '...' and what follows it");
    throw Refused{};
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Node node;
    node.place = place_of(mark);
    const std::string_view line = source_->line(node.place.line);
    const auto begin = static_cast<std::size_t>(std::max(node.place.column - 1, 0));
    node.text = null_word(line.substr(std::min(begin, line.size())));
    node.place.length = static_cast<int>(std::max<std::size_t>(node.text.size(), 1));
    if (node.text.empty() && !frames_.empty()) {
      const Frame& frame = frames_.back();  // where the value is missing: its key or its list tells more
      node.place = frame.node.kind == Node::Kind::map ? frame.key_place : frame.node.place;
    }
    count(1, mark);
    finish(std::move(node), anchor, mark);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) {
      report_.error("yaml_feature", "an alias inside of what it stands for", place_of(mark));
      throw Refused{};
    }
    count(found->second.nodes, mark);
    check_depth(found->second.depth, mark);
    if (!frames_.empty()) frames_.back().depth = std::max(frames_.back().depth, found->second.depth + 1);
    if (!frames_.empty()) frames_.back().nodes += found->second.nodes;
    Node copy = found->second.node;
    add(std::move(copy), mark);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    check_tag(tag, mark);
    Node node = Node::scalar(value, tag == "!");
    node.place = place_of(mark);
    node.place.length =
        token_length(source_->line(node.place.line),
                     static_cast<std::size_t>(std::max(node.place.column - 1, 0)), value, node.quoted);
    count(1, mark);
    finish(std::move(node), anchor, mark);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(Node::Kind::list, tag, anchor, mark);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(Node::Kind::map, tag, anchor, mark);
  }
  void OnMapEnd() override { close(); }

 private:
  struct Frame {
    Node node;
    YAML::anchor_t anchor;
    YAML::Mark mark;
    int nodes = 1;
    int depth = 1;
    bool has_key = false;
    bool drop = false;  // the value of a key that is refused
    std::string key;
    Place key_place;
    std::map<std::string, int> lines;  // of the keys so far
  };
  struct Anchored {
    Node node;
    int nodes;
    int depth;
  };

  void count(int nodes, const YAML::Mark& mark) {
    nodes_ += nodes;
    if (nodes_ <= kMaxNodes) return;
    report_.error("too_large",
                  cat("the text holds more than ", kMaxNodes, " values, aliases counted in full"),
                  place_of(mark));
    throw Refused{};
  }

  void check_depth(int more, const YAML::Mark& mark) {
    if (static_cast<int>(frames_.size()) + more <= kMaxDepth) return;
    report_.error("too_large", cat("values are nested more than ", kMaxDepth, " deep"), place_of(mark));
    throw Refused{};
  }

  void check_tag(const std::string& tag, const YAML::Mark& mark) {
    if (tag.empty() || tag == "?" || tag == "!") return;
    report_.error("yaml_feature", "tags ('!...') are not supported", place_of(mark),
                  "write the value without its tag, and text in quotes where it looks like a number");
  }

  void open(Node::Kind kind, const std::string& tag, YAML::anchor_t anchor, const YAML::Mark& mark) {
    check_tag(tag, mark);
    count(1, mark);
    check_depth(1, mark);
    Frame frame;
    frame.node = Node::of(kind);
    frame.node.place = place_of(mark);
    frame.anchor = anchor;
    frame.mark = mark;
    frames_.push_back(std::move(frame));
  }

  void close() {
    Frame frame = std::move(frames_.back());
    frames_.pop_back();
    if (!frames_.empty()) {
      frames_.back().depth = std::max(frames_.back().depth, frame.depth + 1);
      frames_.back().nodes += frame.nodes;
    }
    if (frame.anchor != 0) {
      count(frame.nodes, frame.mark);
      anchors_[frame.anchor] = {frame.node, frame.nodes, frame.depth};
    }
    add(std::move(frame.node), frame.mark);
  }

  /// A value that is no list or map is complete.
  void finish(Node node, YAML::anchor_t anchor, const YAML::Mark& mark) {
    if (!frames_.empty()) ++frames_.back().nodes;
    if (anchor != 0) anchors_[anchor] = {node, 1, 0};
    add(std::move(node), mark);
  }

  void add(Node node, const YAML::Mark& mark) {
    if (frames_.empty()) {
      root_ = std::move(node);
    } else if (Frame& frame = frames_.back(); frame.node.kind == Node::Kind::list) {
      frame.node.items.push_back(std::move(node));
    } else if (!frame.has_key) {
      frame.has_key = true;
      frame.drop = !take_key(frame, node, mark);
    } else {
      frame.has_key = false;
      if (!frame.drop) frame.node.entries.push_back({frame.key, frame.key_place, std::move(node)});
    }
  }

  /// Whether the key may stay.
  bool take_key(Frame& frame, const Node& key, const YAML::Mark& mark) {
    frame.key = key.text;
    frame.key_place = key.place;
    if (key.kind != Node::Kind::scalar) {
      frame.key_place = place_of(mark);
      report_.error("bad_key", "a key must be a word", frame.key_place);
      return false;
    }
    if (key.text == "<<" && !key.quoted) {
      report_.error(
          "yaml_feature", "merge keys ('<<') are not supported", key.place,
          "write the keys out, or give a whole map an anchor (&name) and repeat it with an alias (*name)");
      return false;
    }
    const auto [first, is_new] = frame.lines.emplace(key.text, key.place.line);
    if (is_new) return true;
    report_.error("duplicate_key", cat("key '", key.text, "' is given twice"), key.place,
                  cat("the first is in line ", first->second));
    return false;
  }

  std::shared_ptr<const SourceText> source_;
  int line_;
  int column_;
  Report& report_;
  Node root_;
  std::vector<Frame> frames_;
  std::map<YAML::anchor_t, Anchored> anchors_;
  int documents_ = 0;
  int nodes_ = 0;
};

Place content_of(const std::shared_ptr<const SourceText>& source, int number) {
  const std::string& line = source->line(number);
  const std::size_t begin = line.find_first_not_of(" -");
  return {source, number, static_cast<int>(begin) + 1, static_cast<int>(trim(line.substr(begin)).size())};
}

/// A key without a space goes on into the next lines and only fails there: looks at the line where reading
/// failed and at those before it.
bool report_unspaced(const Place& place, Report& report) {
  bool found = false;
  for (int number = place.line; number > 0; --number) {
    const std::string_view line = trim(place.source->line(number));
    if (line.empty() || line[0] == '#') continue;
    const auto slip = unspaced(place.source->line(number));
    if (!slip && (found || number < place.line)) break;
    if (!slip) continue;
    report.error("yaml_syntax", cat("'", slip->key, "' is not set off from its value"),
                 content_of(place.source, number), cat("write ", slip->mended));
    found = true;
  }
  return found;
}

/// In a list in brackets, the brackets of a range are taken for another list.
bool report_foreign_range(const Place& place, Report& report) {
  const std::string& line = place.source->line(place.line);
  const auto slip = foreign_range(line);
  if (!slip) return false;
  report.error("yaml_syntax", cat("'", slip->written, "' is no range of modules"),
               {place.source, place.line, static_cast<int>(line.find(slip->written)) + 1,
                static_cast<int>(slip->written.size())},
               cat("write ", slip->mended, ": both ends are counted in"));
  return true;
}

void report_syntax(const YAML::Exception& e, const Builder& builder, Report& report) {
  Place place = builder.place_of(e.mark);
  if (report_unspaced(place, report)) return;
  std::string help;
  if (e.msg == "illegal map value") {
    help = "check the indentation of this line and the one before; text with ': ' in it needs quotes";
  } else if (e.msg == "unknown token") {
    help = "text that begins with this character needs quotes";
  } else if (e.msg.find("flow not found") != std::string::npos) {
    place = builder.open_place(place);  // yaml-cpp's is where it gave up, or the start of the text
    if (report_foreign_range(place, report)) return;
    help = "this bracket is not closed";
  } else if (e.msg == "illegal flow end") {
    help = "a bracket before this place is not closed, or closed by one of the other kind";
  } else if (e.msg == "end of map not found") {
    help = "check the indentation of this line";
  }
  std::string message = e.msg;
  // yaml-cpp 0.8 appends the name, 0.7 does not.
  const std::string no_anchor = "the referenced anchor is not defined";
  if (message.compare(0, no_anchor.size(), no_anchor) == 0) message = no_anchor;
  report.error("yaml_syntax", cat("this is not valid YAML: ", message), place, help);
}

}  // namespace

std::optional<Node> read_yaml(const std::string& text, const std::shared_ptr<const SourceText>& source,
                              int line, int column, Report& report) {
  Builder builder(source, line, column, report);
  try {
    std::istringstream in(text);
    YAML::Parser parser(in);
    while (parser.HandleNextDocument(builder)) {
    }
    return builder.take();
  } catch (const Refused&) {
    return std::nullopt;
  } catch (const YAML::Exception& e) {
    report_syntax(e, builder, report);
    return std::nullopt;
  }
}

}  // namespace cornstarch::config
