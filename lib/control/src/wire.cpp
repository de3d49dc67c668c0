#include "wire.h"

#include "cornstarch/control/secret.h"

namespace cornstarch::control {
namespace {

constexpr std::string_view kMagic = "cornstrc";

std::string number_text(std::uint64_t number, int bytes) {
  std::string text;
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) text += static_cast<char>(number >> shift);
  return text;
}

std::uint64_t read_number(std::string_view text) {
  std::uint64_t number = 0;
  for (const char c : text) number = number << 8 | static_cast<unsigned char>(c);
  return number;
}

std::string job_of(const Key& key) { return sign(key.secret, {"job", key.job}); }

std::string connection_key(const Key& key, const Transcript& transcript, bool from_rank_0) {
  return sign(key.secret, {from_rank_0 ? "from rank 0" : "to rank 0", transcript.text});
}

std::string signature(const std::string& key, std::uint64_t number, std::string_view message) {
  return sign(key, {number_text(number, 8), message});
}

}  // namespace

std::string greeting(const std::string& nonce) { return std::string(kMagic) + nonce; }

std::optional<std::string> read_greeting(std::string_view text) {
  if (text.size() != kGreetingBytes || text.substr(0, kMagic.size()) != kMagic) return std::nullopt;
  return std::string(text.substr(kMagic.size()));
}

std::pair<Transcript, std::string> claim(const Key& key, const std::string& nonce, int rank) {
  const std::string own =
      random_bytes(kNonceBytes) + job_of(key) + number_text(static_cast<std::uint64_t>(rank), 4);
  const Transcript transcript{nonce + own, rank, true};
  return {transcript, own + sign(key.secret, {"claim", transcript.text})};
}

std::optional<Transcript> read_claim(const Key& key, const std::string& nonce, std::string_view text) {
  if (text.size() != kClaimBytes) return std::nullopt;
  const std::string_view own = text.substr(0, kClaimBytes - kSignatureBytes);
  Transcript transcript{nonce + std::string(own), -1, false};
  if (!equal_secretly(text.substr(own.size()), sign(key.secret, {"claim", transcript.text})))
    return std::nullopt;
  transcript.same_job = own.substr(kNonceBytes, kSignatureBytes) == job_of(key);
  transcript.rank = static_cast<int>(read_number(own.substr(kNonceBytes + kSignatureBytes)));
  return transcript;
}

std::string answer(const Key& key, const Transcript& transcript, Answer answer) {
  const std::string text(1, static_cast<char>(answer));
  return text + sign(key.secret, {"answer", transcript.text, text});
}

std::optional<Answer> read_answer(const Key& key, const Transcript& transcript, std::string_view text) {
  for (const Answer each : {Answer::welcome, Answer::other_run, Answer::taken, Answer::outside}) {
    if (equal_secretly(text, answer(key, transcript, each))) return each;
  }
  return std::nullopt;
}

Sealer::Sealer(const Key& key, const Transcript& transcript, bool from_rank_0)
    : key_(connection_key(key, transcript, from_rank_0)) {}

std::string Sealer::seal(std::string_view message) {
  return number_text(message.size(), 4) + std::string(message) + signature(key_, number_++, message);
}

Opener::Opener(const Key& key, const Transcript& transcript, bool from_rank_0)
    : key_(connection_key(key, transcript, from_rank_0)) {}

std::optional<std::string> Opener::next() {
  if (broken_ || bytes_.size() < 4) return std::nullopt;
  const std::size_t length = read_number(std::string_view(bytes_).substr(0, 4));
  broken_ = length > kLongestMessage;
  if (broken_ || bytes_.size() < 4 + length + kSignatureBytes) return std::nullopt;
  std::string message = bytes_.substr(4, length);
  broken_ = !equal_secretly(std::string_view(bytes_).substr(4 + length, kSignatureBytes),
                            signature(key_, number_++, message));
  if (broken_) return std::nullopt;
  bytes_.erase(0, 4 + length + kSignatureBytes);
  return message;
}

}  // namespace cornstarch::control
