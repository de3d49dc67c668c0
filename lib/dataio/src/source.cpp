#include "source.h"

#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <queue>

#include "cornstarch/base/path_pattern.h"
#include "cornstarch/base/text.h"

namespace cornstarch::dataio {
namespace {

/// Each file stays open. More than the usual 1,024 are had for the asking, mostly.
void allow_files(std::size_t files) {
  rlimit limit{};
  if (files < 256 || ::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

Result<Source> Source::open(const ConversationFile& wanted, const ConversationOptions& options) {
  const std::string name = wanted.path.string();
  if (!(wanted.weight >= 0 && wanted.weight <= 1e6))
    return fail(ExitCode::bad_data, cat(name, ": the weight ", wanted.weight, " is not between 0 and 1e6"));
  const auto paths = expand_pattern(name);
  if (!paths) return tl::unexpected(paths.error());
  allow_files(paths->size());
  std::vector<SampleFile> files;
  for (const std::filesystem::path& path : *paths) {
    auto file = SampleFile::open(path, wanted.media_root, options);
    if (!file) return tl::unexpected(file.error());
    files.push_back(std::move(*file));
  }
  Source out(wanted, std::move(files));
  if (out.all() == 0) return fail(ExitCode::bad_data, cat(name, ": no samples"));
  return out;
}

std::int64_t Source::all() const {
  std::int64_t out = 0;
  for (const SampleFile& file : files_) out += file.index().size();
  return out;
}

void Source::select(double bound) {
  const std::int64_t most = wanted_.max_samples.value_or(std::numeric_limits<std::int64_t>::max());
  for (const SampleFile& file : files_) {
    before_.push_back(size_);
    selections_.emplace_back(file, wanted_.portion, bound);
    size_ = std::min(size_ + selections_.back().size(), most);
  }
}

std::int64_t Source::weighted() const { return std::llround(wanted_.weight * static_cast<double>(size_)); }

Source::Sample Source::operator[](std::int64_t i) const {
  const std::int64_t nth = i % size_;
  const auto file =
      static_cast<std::size_t>(std::upper_bound(before_.begin(), before_.end(), nth) - before_.begin() - 1);
  return {&files_[file], selections_[file].at(files_[file], nth - before_[file])};
}

Result<double> held_out_bound(const std::vector<Source>& sources, double hold_out) {
  if (hold_out < 1) return hold_out;
  const auto wanted = static_cast<std::size_t>(hold_out);
  std::priority_queue<double> lowest;
  std::int64_t sound = 0, bad = 0;
  for (const Source& source : sources) {
    if (!source.is_divided()) continue;
    for (const SampleFile& file : source.files()) {
      for (std::int64_t i = 0; i < file.index().size(); ++i) {
        if (!file.sound(i)) {
          ++bad;
          continue;
        }
        ++sound;
        lowest.push(held_out_draw(file.index()[i]));
        if (lowest.size() > wanted) lowest.pop();
      }
    }
  }
  if (sound == 0) return 0.0;  // what is wrong with them is said where they are looked through
  if (std::ssize(lowest) < sound) return std::nextafter(lowest.top(), 2.0);
  return fail(ExitCode::usage,
              cat("eval.hold_out: ", wanted, " of ", sound, " samples leave none to train on",
                  bad > 0 ? cat("; ", bad, " more cannot be used") : std::string()));
}

/// Through one source.
class Review {
 public:
  Review(const Source& source, Findings& findings) : source_(source), out_(findings) {
    const SampleFile& file = source.files().front();
    const auto& all = file.index_.placeholders();  // the same in all
    const auto known = [](const auto& columns, std::size_t p) {
      return std::find(columns.begin(), columns.end(), p) != columns.end();
    };
    for (std::size_t p = 0; p < all.size(); ++p)
      if (!known(file.columns_, p) && !known(file.parts_, p)) strays_.push_back({p, {}});
  }

  void look_through() {
    const std::int64_t size = source_.size(), looks = std::min(kLooks, size);
    source_.each([&](std::int64_t i, const Source::Sample& at) {
      look_at(at);
      if (i * looks / size != (i + 1) * looks / size && at.file->sound(at.index)) look_for_media(at);
    });
    out_.samples += source_.size();
    out_.unanswered += unanswered_.samples;
    warn();
  }

 private:
  /// Of 1 % that are lost, one is among so many but for one time in 20,000.
  static constexpr std::int64_t kLooks = 1000;

  struct Seen {
    std::int64_t samples = 0;
    Source::Sample first = {};
    void add(const Source::Sample& at) {
      if (samples++ == 0) first = at;
    }
  };

  static std::string place(const Source::Sample& at) { return at.file->place(at.index); }

  void look_at(const Source::Sample& at) {
    const SampleIndex::Entry& entry = at.file->index_[at.index];
    if (!at.file->sound(at.index)) {
      ++out_.bad;
      if (out_.problems.full()) return out_.problems.count();
      const auto conversation = at.file->read(at.index);
      if (!conversation) out_.problems.add(conversation.error(), place(at));
      return;
    }
    if (entry.has_answer == 0) unanswered_.add(at);
    const auto counts = at.file->index_.counts(at.index);
    for (auto& [placeholder, seen] : strays_)
      if (counts[placeholder] > 0) seen.add(at);
  }

  void look_for_media(const Source::Sample& at) {
    ++out_.looked_at;
    const auto& listed = at.file->index_[at.index].files;
    if (std::all_of(listed.begin(), listed.end(), [](auto n) { return n == 0; })) return;
    const auto conversation = at.file->read(at.index);
    if (!conversation) return;
    for (const auto& files : conversation->files) {
      for (const std::string& name : files) {
        const auto bytes = at.file->media(*conversation, name);
        if (bytes) continue;
        ++out_.lacking;
        return out_.problems.add(bytes.error(), place(at));
      }
    }
  }

  void warn() {
    const auto say = [&](const Seen& seen, const std::string& what, std::int64_t of) {
      out_.warnings.push_back(
          cat(place(seen.first), ": ", what, " (", seen.samples, " of ", of, " samples; this is the first)"));
    };
    warn_of_members();
    if (unanswered_.samples > 0)
      say(unanswered_,
          "the conversation has no answer (a turn from 'gpt' or 'assistant'): nothing is learnt from it",
          source_.size());
    for (const auto& [placeholder, seen] : strays_)
      if (seen.samples > 0)
        say(seen,
            cat("'", seen.first.file->index_.placeholders()[placeholder],
                "' is no encoder's placeholder: it stays text"),
            source_.size());
    for (const auto& [key, seen] : unread())
      say(seen,
          cat("'", key,
              "' names media, but nothing reads it; keys that are read: image, images, audio, audios"),
          source_.all());
  }

  void warn_of_members() {
    std::int64_t unkeyed = 0;
    for (const SampleFile& file : source_.files()) unkeyed += file.index_.unkeyed();
    if (unkeyed > 0)
      out_.warnings.push_back(
          cat(source_.name(), ": ", unkeyed,
              " members are of no sample, since their names begin with a dot or have none"));
  }

  /// Of all samples of the files, whatever is taken of them.
  std::map<std::string, Seen> unread() const {
    std::map<std::string, Seen> out;
    for (const SampleFile& file : source_.files()) {
      for (const SampleIndex::Unread& each : file.index_.unread()) {
        Seen& seen = out[each.key];
        if (seen.samples == 0) seen.first = {&file, file.index_.on_line(each.first_line)};
        seen.samples += each.samples;
      }
    }
    return out;
  }

  const Source& source_;
  Findings& out_;
  Seen unanswered_;
  std::vector<std::pair<std::size_t, Seen>> strays_;  ///< placeholders that no encoder takes
};

void review(const Source& source, Findings& findings) { Review(source, findings).look_through(); }

}  // namespace cornstarch::dataio
