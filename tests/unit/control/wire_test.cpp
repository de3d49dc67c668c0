#include "wire.h"

#include "catch.h"
#include "cornstarch/control/secret.h"

using namespace cornstarch::control;

namespace {

const Key kKey{"0123456789abcdef", "job 7"};
const std::string kNonce(kNonceBytes, 'n');

/// Both ends of one connection.
struct Connection {
  Transcript transcript = claim(kKey, kNonce, 3).first;
  Sealer to{kKey, transcript, false}, from{kKey, transcript, true};
  Opener at_rank_0{kKey, transcript, false}, at_rank_3{kKey, transcript, true};
};

}  // namespace

TEST_CASE("both ends prove that they know the secret") {
  REQUIRE(read_greeting(greeting(kNonce)) == kNonce);
  const auto [mine, text] = claim(kKey, kNonce, 3);
  REQUIRE(text.size() == kClaimBytes);
  const auto theirs = read_claim(kKey, kNonce, text);
  REQUIRE(theirs);
  REQUIRE(theirs->rank == 3);
  REQUIRE(theirs->same_job);
  REQUIRE(theirs->text == mine.text);
  for (const Answer each : {Answer::welcome, Answer::other_run, Answer::taken, Answer::outside})
    REQUIRE(read_answer(kKey, mine, answer(kKey, *theirs, each)) == each);
}

TEST_CASE("a claim counts once, where it was made, unchanged") {
  const auto [transcript, text] = claim(kKey, kNonce, 3);
  CHECK_FALSE(read_claim(kKey, std::string(kNonceBytes, 'o'), text));  // replayed on another connection
  CHECK_FALSE(read_claim({"another secret....", kKey.job}, kNonce, text));
  CHECK_FALSE(read_claim(kKey, kNonce, text + "x"));
  CHECK_FALSE(read_claim(kKey, kNonce, text.substr(1)));
  CHECK_FALSE(read_claim(kKey, kNonce, ""));
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string changed = text;
    changed[i] ^= 1;
    REQUIRE_FALSE(read_claim(kKey, kNonce, changed));
  }
}

TEST_CASE("a run of the same user is told from this one, and an answer belongs to its question") {
  const auto other = read_claim({kKey.secret, "job 8"}, kNonce, claim(kKey, kNonce, 3).second);
  REQUIRE(other);
  CHECK_FALSE(other->same_job);
  const auto first = claim(kKey, kNonce, 3).first, second = claim(kKey, kNonce, 3).first;
  CHECK_FALSE(read_answer(kKey, second, answer(kKey, first, Answer::welcome)));
  CHECK_FALSE(read_answer(kKey, first, ""));
  CHECK_FALSE(read_answer(kKey, first, std::string(kAnswerBytes, 'w')));
}

TEST_CASE("messages arrive as they were sent, in whatever pieces") {
  Connection c;
  const std::vector<std::string> sent{"one", "", std::string(kLongestMessage, 'x')};
  std::string bytes;
  for (const std::string& message : sent) bytes += c.to.seal(message);
  std::vector<std::string> heard;
  for (const char byte : bytes) {
    c.at_rank_0.add(std::string_view(&byte, 1));
    while (auto message = c.at_rank_0.next()) heard.push_back(*message);
  }
  CHECK((heard == sent));
  CHECK_FALSE(c.at_rank_0.broken());
}

TEST_CASE("what is forged, repeated, reordered, sent back or too long ends the connection") {
  const auto broken = [](Opener& opener, const std::string& bytes) {
    opener.add(bytes);
    while (opener.next()) continue;
    return opener.broken();
  };
  {
    Connection c;
    const std::string once = c.to.seal("failed");
    CHECK(broken(c.at_rank_0, once + once));
  }
  {
    Connection c;
    const std::string first = c.to.seal("first"), second = c.to.seal("second");
    CHECK(broken(c.at_rank_0, second + first));
  }
  {
    Connection c;
    CHECK(broken(c.at_rank_3, c.to.seal("failed")));
  }
  {
    Connection c, d;
    CHECK(broken(d.at_rank_0, c.to.seal("failed")));
  }
  {
    Connection c;
    CHECK(broken(c.at_rank_0, std::string("\x00\x01\x00\x01", 4)));
    c.at_rank_0.add(c.to.seal("after"));
    CHECK(c.at_rank_0.next() == std::nullopt);
  }
  for (std::size_t i = 0; i < Connection().to.seal("failed").size(); ++i) {
    Connection c;
    std::string bytes = c.to.seal("failed");
    bytes[i] ^= 1;
    c.at_rank_0.add(bytes);
    REQUIRE(c.at_rank_0.next() == std::nullopt);
  }
}

TEST_CASE("HMAC-SHA256 over parts knows where they end") {
  CHECK(to_hex(sign("Jefe", {"what do ya want ", "for nothing?"})) !=
        to_hex(sign("Jefe", {"what do ya want for", " nothing?"})));
  // Python's hmac.new(b"Jefe", (7).to_bytes(8, "big") + b"nothing", "sha256")
  CHECK(to_hex(sign("Jefe", {"nothing"})) ==
        "f89536dc93117e95e1084529e97c0be170deec8d56993386cbff0fa1523fc41a");
}

TEST_CASE("hexadecimal digits and back") {
  CHECK(to_hex(std::string("\0\x7f\xff", 3)) == "007fff");
  CHECK(from_hex("007fff") == std::string("\0\x7f\xff", 3));
  CHECK(from_hex("zz0") == std::string(1, '\0'));
  CHECK(random_bytes(32) != random_bytes(32));
}
