#include "cornstarch/dataio/scores.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <map>

#include "cornstarch/base/text.h"
#include "unicode.h"

namespace cornstarch::dataio {
namespace {

using Words = std::vector<std::string>;

std::string small_letters(std::string_view text) {
  std::string out;
  const std::string sound = lossy_utf8(text);
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(sound.data());
  for (std::size_t at = 0; at < sound.size();) {
    utf8proc_int32_t code = 0;
    at += static_cast<std::size_t>(
        utf8proc_iterate(bytes + at, static_cast<utf8proc_ssize_t>(sound.size() - at), &code));
    std::array<utf8proc_uint8_t, 4> letter;
    const auto size = utf8proc_encode_char(utf8proc_tolower(code), letter.data());
    out.append(reinterpret_cast<const char*>(letter.data()), static_cast<std::size_t>(size));
  }
  return out;
}

bool is_ascii(char c, int (*kind)(int)) {
  const auto byte = static_cast<unsigned char>(c);
  return byte < 128 && kind(byte) != 0;
}

Words words_of(std::string_view text) {
  std::string plain = small_letters(text);
  std::erase_if(plain, [](char c) { return is_ascii(c, std::ispunct); });
  for (char& c : plain)
    if (is_ascii(c, std::isspace)) c = ' ';
  Words words = split(plain, ' ');
  std::erase_if(words, [](const std::string& word) {
    return word.empty() || word == "a" || word == "an" || word == "the";
  });
  return words;
}

double f1(const Words& answer, const Words& right) {
  if (answer.empty() || right.empty()) return answer == right ? 1 : 0;
  std::map<std::string, int> left;
  for (const std::string& word : right) ++left[word];
  const auto common = static_cast<double>(
      std::count_if(answer.begin(), answer.end(), [&](const std::string& word) { return left[word]-- > 0; }));
  return 2 * common / static_cast<double>(answer.size() + right.size());
}

}  // namespace

std::string normalized_answer(std::string_view text) { return join(words_of(text), " "); }

bool exact_match(std::string_view answer, const std::vector<std::string>& right) {
  const std::string own = normalized_answer(answer);
  return std::any_of(right.begin(), right.end(),
                     [&](const std::string& each) { return normalized_answer(each) == own; });
}

double token_f1(std::string_view answer, const std::vector<std::string>& right) {
  double best = 0;
  for (const std::string& each : right) best = std::max(best, f1(words_of(answer), words_of(each)));
  return best;
}

}  // namespace cornstarch::dataio
