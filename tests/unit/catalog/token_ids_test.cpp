#include "cornstarch/catalog/token_ids.h"

#include "catch.h"

using namespace cornstarch;

TEST_CASE("a placeholder is no id of a vocabulary, and tells its encoder") {
  for (const int encoder : {0, 1, 7}) {
    CHECK(catalog::is_placeholder(catalog::placeholder_id(encoder)));
    CHECK(catalog::encoder_of(catalog::placeholder_id(encoder)) == encoder);
  }
  CHECK(catalog::placeholder_id(0) == -1);
  CHECK_FALSE(catalog::is_placeholder(0));
}
