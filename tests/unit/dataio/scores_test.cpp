#include "cornstarch/dataio/scores.h"

#include "catch.h"

using namespace cornstarch::dataio;

// What SQuAD's evaluate-v1.1.py gives of the same texts.
TEST_CASE("answers are compared without case, punctuation and articles", "[dataio][scores]") {
  CHECK(normalized_answer("  The  Quick, brown\tfox!\n") == "quick brown fox");
  CHECK(normalized_answer("An apple a day") == "apple day");
  CHECK(normalized_answer("it's A-1 (theatre)") == "its a1 theatre");
  CHECK(normalized_answer("\xC3\x84PFEL") == "\xC3\xA4pfel");  // ÄPFEL
  CHECK(normalized_answer("...") == "");
  CHECK(exact_match("Yes.", {"no", "yes"}));
  CHECK_FALSE(exact_match("Yes, it is.", {"no", "yes"}));
  CHECK_FALSE(exact_match("yes", {}));
}

TEST_CASE("token F1 counts each word as often as it stands there", "[dataio][scores]") {
  CHECK(token_f1("seven", {"Seven!"}) == 1);
  CHECK(token_f1("a red red car", {"the red car"}) == Approx(0.8));
  CHECK(token_f1("red car", {"blue bus", "red"}) == Approx(2.0 / 3));
  CHECK(token_f1("green", {"blue bus"}) == 0);
  CHECK(token_f1("", {"the"}) == 1);
  CHECK(token_f1("", {"bus"}) == 0);
}
