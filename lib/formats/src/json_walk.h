#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "cornstarch/base/result.h"

namespace cornstarch::formats {

/// Walks through JSON that nobody trusts, without a tree of it: memory follows what the walker keeps. Ends at
/// the first problem.
class JsonWalk : private nlohmann::json_sax<nlohmann::json> {
 public:
  /// `what`: "the header".
  Result<void> through(std::string_view json, const std::string& what);

 protected:
  enum class Kind { object, list, text, natural, other };
  struct Value {
    Kind kind = Kind::other;
    std::string* text = nullptr;
    std::int64_t natural = 0;  ///< not negative
  };
  /// Any value, at its start; those inside an object or a list follow, one level deeper.
  virtual void value(const Value& value) = 0;
  virtual void name(std::string& key) = 0;
  /// Of an object or a list that stands at this depth.
  virtual void end() {}

  std::size_t depth() const { return depth_; }
  void refuse(std::string message, std::string help = {});

 private:
  bool null() override { return scalar({}); }
  bool boolean(bool) override { return scalar({}); }
  bool number_integer(number_integer_t) override { return scalar({}); }
  bool number_unsigned(number_unsigned_t number) override;
  bool number_float(number_float_t, const string_t&) override { return scalar({}); }
  bool binary(binary_t&) override { return scalar({}); }
  bool string(string_t& text) override { return scalar({Kind::text, &text, 0}); }
  bool start_object(std::size_t) override { return open(Kind::object); }
  bool start_array(std::size_t) override { return open(Kind::list); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& text) override;
  bool parse_error(std::size_t, const std::string&, const nlohmann::json::exception&) override;

  bool scalar(const Value& given);
  bool open(Kind kind);
  bool close();

  std::size_t depth_ = 0;
  std::optional<Error> problem_;
  std::string what_;
};

}  // namespace cornstarch::formats
