#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cornstarch/dataio/chat_template.h"
#include "cornstarch/dataio/dataset.h"
#include "cornstarch/dataio/image.h"
#include "cornstarch/dataio/media_source.h"
#include "cornstarch/dataio/tokenizer.h"

namespace cornstarch::dataio {

/// Whether media can be prepared in this way as the encoder takes them.
Result<void> check_source(const MediaSource& source);

/// Which samples of a data set: those that ConversationOptions::hold_out holds out, the others, or all.
enum class Portion { all, kept, held_out };

struct ConversationFile {
  std::filesystem::path path;        ///< conversations of any form, or a pattern of such files
  std::filesystem::path media_root;  ///< media paths are resolved inside it only; "": the folder of each file
  double weight = 1.0;  ///< samples of an epoch: round(weight x size), the first ones repeated or left out
  Portion portion = Portion::all;
  std::optional<std::int64_t> max_samples = {};  ///< of the portion, the first so many
};

struct ConversationOptions {
  std::vector<ConversationFile> files;
  std::filesystem::path tokenizer;  ///< tokenizer.json, or the folder that holds it
  TokenTexts special_tokens;
  std::string chat_template;  ///< a name of chat_templates()
  config::TrainOn train_on = config::TrainOn::answers;
  std::int64_t sequence_length = 0;
  bool cut_long = false;           ///< what is longer is cut, else it is bad
  std::vector<MediaSource> media;  ///< per encoder, in order of declaration
  /// What is held out of the files whose portion is not `all`: below 1, a share of the samples, each by a
  /// draw of what it says; else so many in all, those of the lowest draws (more where samples say the same).
  double hold_out = 0;
  /// The share of samples that may be bad without an error of open(). Reading such a sample is one, always.
  double max_bad_fraction = 0;
};

/// What a media file's header says, and what an encoder makes of the file.
struct MediaFile {
  std::string name;  ///< as the sample has it
  catalog::Extents extents;
  int width = 0, height = 0;           ///< of a picture, in pixels
  std::optional<double> seconds = {};  ///< of a recording, where its header tells
};

/// LLaVA's conversation form: {"conversations": [{"from": "human"|"gpt", "value": text}], "system": text,
/// "image"|"images": ..., "audio"|"audios": ...}; a list or a single path. The k-th placeholder of an image
/// encoder takes the k-th image, whichever encoder it is; the same for audio. docs/data.md has the whole of
/// it.
class ConversationDataset : public Dataset {
 public:
  /// Finds the samples of every file, or takes them from the index that an earlier run kept, and checks of
  /// each whether it is a conversation, whether its placeholders agree with its media, and whether these fit
  /// sequence_length; of 1,000 spread over each file, whether their media exist. The problems are in the
  /// error's message, one per line, each with file:line; from the 21st on they are only counted.
  static Result<std::unique_ptr<ConversationDataset>> open(const ConversationOptions& options);
  ~ConversationDataset() override;

  std::int64_t size() const override;
  SampleInfo info(std::int64_t sample) const override;
  Result<SampleExtents> extents(std::int64_t sample) const override;
  Result<TextRow> text(std::int64_t sample) const override;
  Result<std::vector<MediaItem>> media(std::int64_t sample, int encoder) const override;
  Result<Question> question(std::int64_t sample) const override;
  std::int64_t pad_id() const override;
  /// The whole row, neither cut nor padded.
  Result<TextRow> whole_text(std::int64_t sample) const;
  /// The files of the items that media() makes, in the same order.
  Result<std::vector<MediaFile>> files(std::int64_t sample, int encoder) const;
  /// An item of media() for people: a picture in its colours, a spectrogram in grey, low tones at the bottom.
  Image picture_of(const MediaItem& item, const catalog::Extents& extents, int encoder) const;
  const Tokenizer& tokenizer() const;
  /// What it was opened with.
  const ConversationOptions& options() const;
  /// The token that ends an answer, as the chat template has it; nothing where none does.
  std::optional<std::int64_t> answer_end_id() const;
  /// What was done to the data, or left undone, that somebody may not expect; one line each.
  const std::vector<std::string>& warnings() const;
  std::string place(std::int64_t sample) const override;
  /// How the encoder's media are prepared, as the text of a preprocessor_config.json: the one that was given,
  /// or one that says what its absence means.
  const std::string& preprocessor_json(int encoder) const;

 private:
  struct State;
  explicit ConversationDataset(std::unique_ptr<State> state);
  std::shared_ptr<State> state_;  ///< lives on under a read that was abandoned
};

}  // namespace cornstarch::dataio
