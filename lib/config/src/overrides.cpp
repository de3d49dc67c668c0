#include "overrides.h"

#include <optional>
#include <utility>
#include <vector>

#include "aliases.h"
#include "conform.h"
#include "cornstarch/base/text.h"
#include "read_yaml.h"
#include "scalars.h"
#include "suggest.h"

namespace cornstarch::config {
namespace {

/// One step of a path: a key, or an index where `index` is set.
struct Step {
  std::string name;
  std::optional<std::uint64_t> index;
  Place place;
};

class Override {
 public:
  Override(const std::string& flag, Report& report)
      : flag_(flag), source_(std::make_shared<const SourceText>(kSetName, flag)), report_(report) {}

  void apply(Node& root) {
    if (!is_text(flag_)) return refuse("a value of --set is no UTF-8 text", whole(source_));
    equals_ = flag_.find('=');
    if (equals_ == std::string::npos) {
      return refuse("'--set' takes KEY=VALUE", place(0, flag_.size()),
                    "for example: --set optimizer.lr=0.001");
    }
    if (!parse_path()) return;
    // A failed override leaves the tree as it was.
    Node changed = root;
    node_ = &changed;
    key_ = &outline();
    for (std::size_t i = 0; i < steps_.size() && !done_; ++i) {
      if (!(steps_[i].index ? enter_index(steps_[i]) : enter_key(i))) return;
    }
    if (!done_) root = std::move(changed);
  }

 private:
  Place place(std::size_t begin, std::size_t length) const {
    return {source_, 1, static_cast<int>(begin) + 1, static_cast<int>(std::max<std::size_t>(length, 1))};
  }

  void refuse(std::string message, const Place& where, std::string help = {}) {
    report_.error("bad_override", std::move(message), where, std::move(help));
  }

  /// Splits "a.b[1].c" into steps.
  bool parse_path() {
    const std::string_view path = std::string_view(flag_).substr(0, equals_);
    std::size_t at = 0;
    bool after_index = false;
    while (at <= path.size()) {
      const std::size_t end = std::min(path.find_first_of(".[", at), path.size());
      if (end > at && !after_index) {
        steps_.push_back({std::string(path.substr(at, end - at)), std::nullopt, place(at, end - at)});
      } else if (!(after_index && end == at)) {
        refuse("a key is missing here", place(at, 1), "write a path such as model.llm.parallel.stages[1][0]");
        return false;
      }
      if (end == path.size()) break;
      if (path[end] == '.') {
        at = end + 1;
        after_index = false;
        continue;
      }
      const std::size_t close = path.find(']', end);
      const auto index = close == std::string_view::npos
                             ? std::nullopt
                             : parse_integer(path.substr(end + 1, close - end - 1));
      if (!index || index->negative) {
        refuse("an index is a whole number in brackets", place(end, 1), "counted from 0, as in stages[1]");
        return false;
      }
      steps_.push_back({"", index->magnitude, place(end, close + 1 - end)});
      at = close + 1;
      after_index = true;
    }
    return true;
  }

  bool is_last(std::size_t step) const { return step + 1 == steps_.size(); }

  bool enter_index(const Step& step) {
    if (node_->kind != Node::Kind::list) {
      refuse(cat(path_words(path_), " is no list"), step.place);
      return false;
    }
    if (*step.index >= node_->items.size()) {
      const std::size_t n = node_->items.size();
      refuse(cat(path_words(path_), " has ", n, n == 1 ? " entry" : " entries", ", so there is no [",
                 *step.index, "]"),
             step.place, n == 0 ? "" : cat("indices count from 0: the last is [", n - 1, "]"));
      return false;
    }
    path_ += cat("[", *step.index, "]");
    node_ = &node_->items[*step.index];
    key_ = key_ && key_->kind == Key::Kind::list ? &key_->children[0] : nullptr;
    return &step == &steps_.back() ? set_value() : true;
  }

  bool enter_key(std::size_t& i) {
    const Step& step = steps_[i];
    if (key_ && key_->kind == Key::Kind::list) {
      refuse(cat(path_words(path_), " is a list"), step.place, cat("write ", path_, "[0].", step.name));
      return false;
    }
    if (key_ && !key_->is_map()) {
      refuse(cat(path_words(path_), " has no keys"), step.place, cat("it is ", type_words(*key_)));
      return false;
    }
    if (node_->kind == Node::Kind::null) {
      node_->kind = Node::Kind::map;
      node_->place = step.place;
    }
    if (node_->kind != Node::Kind::map) {
      refuse(cat(path_words(path_), " is no map"), step.place);
      return false;
    }
    if (key_ && key_->kind == Key::Kind::object) return enter_known(i);
    if (key_ && key_->kind == Key::Kind::named && !is_last(i) && !node_->find(step.name)) {
      std::vector<std::string> names;
      for (const Entry& entry : node_->entries) names.push_back(entry.key);
      const std::string help = did_you_mean(step.name, names);
      refuse(cat("there is no '", step.name, "' in ", path_words(path_)), step.place,
             !help.empty() || names.empty() ? help : cat("known here: ", join(names, ", ")));
      return false;
    }
    return enter(step.name, key_ && key_->kind == Key::Kind::named ? &key_->children[0] : nullptr, step,
                 is_last(i));
  }

  /// A key that the outline knows, by its name or an alias.
  bool enter_known(std::size_t& i) {
    const Step& step = steps_[i];
    const Key* object = key_;
    const Key* child = object->child(step.name);
    if (!child) {
      report_.error("unknown_key",
                    cat("unknown key '", step.name, "'", path_.empty() ? "" : cat(" in ", path_words(path_))),
                    step.place, suggest_key(step.name, *object).help);
      return false;
    }
    if (step.name != "pipeline_template") return enter(child->name, child, step, is_last(i));
    if (is_last(i)) return set_template(*object, step);
    const Step& inner = steps_[++i];
    if (inner.name == "modules_per_stage") return enter(child->name, child, inner, is_last(i));
    done_ = inner.name == "model_name" && is_last(i);  // says nothing that `family` does not say
    if (!done_) {
      report_.error("unknown_key", cat("unknown key '", inner.name, "' in '", path_, ".pipeline_template'"),
                    inner.place, "known here: model_name, modules_per_stage");
    }
    return done_;
  }

  bool enter(const std::string& name, const Key* key, const Step& step, bool last) {
    Entry* entry = node_->find(name);
    if (!entry) {
      node_->entries.push_back({name, step.place, Node()});
      entry = &node_->entries.back();
      entry->value.place = step.place;
    }
    if (last) entry->place = step.place;
    path_ = join_path(path_, name);
    node_ = &entry->value;
    key_ = key;
    return last ? set_value() : true;
  }

  /// The value as the key's type wants it: texts as they are, all else as YAML.
  std::optional<Node> parse_value(const Key* key) {
    const std::string text = flag_.substr(equals_ + 1);
    const Place where = place(equals_ + 1, text.size());
    const bool unset = text == "null" || text == "~";
    const bool in_quotes = !text.empty() && (text[0] == '"' || text[0] == '\'');
    if (key && (key->kind == Key::Kind::text || key->kind == Key::Kind::choice) && !unset && !in_quotes) {
      Node node = Node::scalar(text, true);
      node.place = where;
      return node;
    }
    auto node = read_yaml(text, source_, 1, static_cast<int>(equals_) + 2, report_);
    if (node && node->kind == Node::Kind::null) node->place = where;
    return node;
  }

  bool set_value() {
    auto value = parse_value(key_);
    if (!value) return false;
    if (key_) translate_aliases(*value, *key_, path_, report_);
    *node_ = std::move(*value);
    return true;
  }

  bool set_template(const Key& object, const Step& step) {
    auto value = parse_value(nullptr);
    if (!value) return false;
    Node wrapped = Node::of(Node::Kind::map);
    wrapped.entries.push_back({step.name, step.place, std::move(*value)});
    translate_aliases(wrapped, object, path_, report_);
    const std::string name = wrapped.entries[0].key;
    if (Entry* entry = node_->find(name)) {
      *entry = std::move(wrapped.entries[0]);
    } else {
      node_->entries.push_back(std::move(wrapped.entries[0]));
    }
    return true;
  }

  const std::string& flag_;
  std::shared_ptr<const SourceText> source_;
  Report& report_;
  std::size_t equals_ = 0;
  std::vector<Step> steps_;
  Node* node_ = nullptr;
  const Key* key_ = nullptr;  ///< of node_; null inside a free map
  std::string path_;
  bool done_ = false;  ///< there is nothing to set
};

}  // namespace

void apply_override(const std::string& flag, Node& root, Report& report) {
  Override(flag, report).apply(root);
}

}  // namespace cornstarch::config
