#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace cornstarch::report {

/// "a text", "a list", ...: what a value is.
const char* kind_of(const nlohmann::json& value);

/// Gives `take` the objects of a file of JSON lines with their places ("metrics.jsonl:3"). Lines that are no
/// objects, as one that a crash cut short, are counted and noted together. An empty line is none.
void for_each_line(const std::string& text, const std::string& name, std::vector<std::string>& notes,
                   const std::function<void(const nlohmann::json&, const std::string& place)>& take);

/// Notes on lines or values of a file that were left out: the first few in full, the others in number.
class Noted {
 public:
  Noted(std::vector<std::string>& notes, std::string name) : notes_(notes), name_(std::move(name)) {}
  Noted(const Noted&) = delete;
  Noted& operator=(const Noted&) = delete;
  ~Noted();

  void add(const std::string& place, const std::string& what);

 private:
  std::vector<std::string>& notes_;
  const std::string name_;
  int count_ = 0;
};

}  // namespace cornstarch::report
