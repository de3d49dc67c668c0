#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace cornstarch::dataio {

/// A text as answers are compared, by SQuAD's rules (Rajpurkar et al., 2016): small letters, without ASCII
/// punctuation, without the words a, an and the, words one space apart.
std::string normalized_answer(std::string_view text);

/// Whether it is one of the right answers, normalized.
bool exact_match(std::string_view answer, const std::vector<std::string>& right);

/// The harmonic mean of the shares of its words that are right and of the right words that it has, with the
/// right answer for which that is most.
double token_f1(std::string_view answer, const std::vector<std::string>& right);

}  // namespace cornstarch::dataio
