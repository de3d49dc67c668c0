#include <unistd.h>

#include <mutex>
#include <thread>
#include <vector>

#include "cornstarch/control/board.h"
#include "input.h"
#include "sockets.h"
#include "state_json.h"
#include "wire.h"

namespace {

using namespace cornstarch;
using namespace cornstarch::control;
using std::chrono::seconds;

const Key kKey{"known to nobody else", "a run"};
const std::string kNonce(kNonceBytes, 'n');
const Transcript kTranscript{kNonce + "and what both have said", 1, true};

/// Nothing of what nobody has signed is believed.
void strange(std::string_view text) {
  const auto nonce = read_greeting(text);
  fuzz::require(!nonce || text == greeting(*nonce));
  fuzz::require(!read_claim(kKey, kNonce, text));
  fuzz::require(!read_answer(kKey, kTranscript, text));
  Opener opener(kKey, kTranscript, true);
  opener.add(text);
  fuzz::require(!opener.next());
}

/// What comes of a member's words, in whatever pieces and with a byte changed on the way, are the first of
/// them.
void changed_on_the_way(fuzz::Input& input) {
  Sealer out(kKey, kTranscript, false);
  Opener in(kKey, kTranscript, false);
  const bool changes = input.yes();
  const std::size_t at = input.byte() * std::size_t{256} + input.byte(), piece = 1 + input.byte();
  const auto by = static_cast<char>(input.byte());
  std::vector<std::string> sent, heard;
  std::string bytes;
  while (!input.empty()) bytes += out.seal(sent.emplace_back(input.word().substr(0, kLongestMessage)));
  if (changes && !bytes.empty()) bytes[at % bytes.size()] ^= by;
  for (std::size_t begin = 0; begin < bytes.size(); begin += piece) {
    in.add(std::string_view(bytes).substr(begin, piece));
    while (auto message = in.next()) heard.push_back(*message);
  }
  fuzz::require(heard.size() <= sent.size() && std::equal(heard.begin(), heard.end(), sent.begin()));
  fuzz::require((heard.size() == sent.size() && !in.broken()) || (changes && by != 0));
}

/// Whatever ranks say they are at, one is to blame, and the report is JSON.
void states_of(fuzz::Input& input) {
  Complaint complaint{static_cast<int>(input.below(4)), {}, "it waited"};
  std::map<int, RankState> states;
  while (!input.empty()) {
    const auto rank = static_cast<int>(input.below(4));
    const Json json = Json::parse(input.word(), nullptr, false);
    if (!json.is_object()) continue;
    states[rank] = state_in(json);
    if (rank == complaint.rank) complaint.wait = wait_in(json);
  }
  const RankFailure failure = find_culprit(states, complaint);
  fuzz::require(!Json::parse(failure_report(failure, states), nullptr, false).is_discarded());
}

/// A connection to rank 0 of a board that has proved itself, as rank 1.
class Member {
 public:
  Member(const Meeting& place, std::string_view host) : fd_(connect(place)) {
    const auto nonce = read_greeting(read_bytes(fd_, kGreetingBytes, seconds(3)));
    fuzz::require(nonce.has_value());
    const auto [transcript, text] = claim(place.key, *nonce, 1);
    out_ = Sealer(place.key, transcript, false);
    fuzz::require(write_all(fd_, text) && read_bytes(fd_, kAnswerBytes, seconds(3)).size() == kAnswerBytes);
    say("here " + std::string(host));
    fuzz::require(!read_bytes(fd_, 4, seconds(3)).empty());
  }
  ~Member() { close(fd_); }
  void say(const std::string& message) { write_all(fd_, out_.seal(message)); }
  static int connect(const Meeting& place) {
    return connect_tcp("127.0.0.1", place.ports.front(), seconds(3));
  }

 private:
  int fd_;
  Sealer out_;
};

/// Whatever strangers and members say, rank 0 goes on until it is told of a failure, and says one line.
void to_rank_0(fuzz::Input& input) {
  std::mutex mutex;
  std::vector<std::string> lines;
  BoardOptions options;
  options.moment = std::chrono::milliseconds(0);
  options.print = [&](const std::string& line) {
    const std::lock_guard lock(mutex);
    lines.push_back(line);
  };
  options.end_process = [](int) {};
  const auto board = value_or_throw(FailureBoard::serve(private_meeting(), 3, true, options));
  const int stranger = Member::connect(board->place());
  write_all(stranger, input.word());
  close(stranger);
  {
    static const char* const kSays[] = {"beat",    "state",  "bye",       "value", "want",
                                        "arrived", "failed", "complaint", "tell"};
    Member member(board->place(), input.word().substr(0, 1'000));
    while (!input.empty()) {
      const std::string say = kSays[input.below(std::size(kSays))];
      const std::string_view word = input.word().substr(0, kLongestMessage / 2);
      const std::string head = "{\"say\":\"" + say + (word.size() > 2 ? "\"," : "\"");
      member.say(word.starts_with('{') ? head + std::string(word.substr(1)) : std::string(word));
    }
    member.say("{\"say\":\"failed\"}");
    for (int i = 0; i < 30'000 && !board->failed(); ++i)
      std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
  fuzz::require(board->failed());
  const std::lock_guard lock(mutex);
  fuzz::require(lines.size() == 1 && lines[0].find('\n') == lines[0].size() - 1);
  for (const char c : lines[0]) fuzz::require(c == '\n' || c == '\t' || static_cast<unsigned char>(c) >= ' ');
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  switch (input.below(4)) {
    case 0:
      strange(input.rest());
      break;
    case 1:
      changed_on_the_way(input);
      break;
    case 2:
      states_of(input);
      break;
    default:
      to_rank_0(input);
  }
  return 0;
}
