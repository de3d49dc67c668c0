#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cornstarch/control/meeting.h"

/// What goes over a connection between rank 0 and another rank: bytes only, so that it can be tried without
/// one.
///
///   rank 0   greeting   "cornstrc", nonce
///   other    claim      nonce, job, rank, signature: it knows the secret
///   rank 0   answer     welcome or why not, signature: so does rank 0
///   both     messages   length, text, signature over a key of this connection and direction, the message's
///   number,
///                       and all before
namespace cornstarch::control {

constexpr std::size_t kNonceBytes = 32, kSignatureBytes = 32;
constexpr std::size_t kGreetingBytes = 8 + kNonceBytes;
constexpr std::size_t kClaimBytes = kNonceBytes + kSignatureBytes + 4 + kSignatureBytes;
constexpr std::size_t kAnswerBytes = 1 + kSignatureBytes;
constexpr std::size_t kLongestMessage = 64 << 10;

enum class Answer : char { welcome = 'w', other_run = 'o', taken = 't', outside = 'x' };

/// What both ends have said before a connection counts: no other connection has the same.
struct Transcript {
  std::string text;
  int rank = -1;
  bool same_job = false;  ///< on rank 0: the other is of the same run
};

std::string greeting(const std::string& nonce);
std::optional<std::string> read_greeting(std::string_view text);  ///< the nonce

/// The transcript, and what to send.
std::pair<Transcript, std::string> claim(const Key& key, const std::string& nonce, int rank);
/// Nothing unless its sender knows the secret and has read this nonce.
std::optional<Transcript> read_claim(const Key& key, const std::string& nonce, std::string_view text);

std::string answer(const Key& key, const Transcript& transcript, Answer answer);
std::optional<Answer> read_answer(const Key& key, const Transcript& transcript, std::string_view text);

/// Messages in one direction. `from_rank_0` says which.
class Sealer {
 public:
  Sealer() = default;
  Sealer(const Key& key, const Transcript& transcript, bool from_rank_0);
  std::string seal(std::string_view message);

 private:
  std::string key_;
  std::uint64_t number_ = 0;
};

class Opener {
 public:
  Opener() = default;
  Opener(const Key& key, const Transcript& transcript, bool from_rank_0);
  void add(std::string_view bytes) { bytes_ += bytes; }
  /// The next message if it is all there.
  std::optional<std::string> next();
  /// Whether something came that its sender has not sealed as the next message: the end of the connection.
  bool broken() const { return broken_; }

 private:
  std::string key_;
  std::string bytes_;
  std::uint64_t number_ = 0;
  bool broken_ = false;
};

}  // namespace cornstarch::control
