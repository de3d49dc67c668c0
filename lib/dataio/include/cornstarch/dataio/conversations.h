#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "cornstarch/dataio/dataset.h"
#include "cornstarch/dataio/tokenizer.h"

namespace cornstarch::dataio {

enum class MediaKind { image, audio };

/// How the media of one encoder are found in a conversation and prepared.
struct MediaSource {
  std::string placeholder;  ///< "<image>"
  MediaKind kind = MediaKind::image;
  std::int64_t features_per_item = 0;    ///< ids that a placeholder expands to
  std::vector<std::int64_t> item_shape;  ///< [3, H, W] or [mels, frames]
  std::string preprocessor_json;  ///< text of preprocessor_config.json, or "" for the HF class's defaults
                                  ///< that fit item_shape
};

/// Whether media can be prepared in this way as the encoder takes them.
Result<void> check_source(const MediaSource& source);

struct ConversationFile {
  std::filesystem::path path;        ///< .jsonl (one sample a line) or .json (an array)
  std::filesystem::path media_root;  ///< media paths are resolved inside it only
  double weight = 1.0;  ///< samples of an epoch: round(weight x size), the first ones repeated or left out
};

struct ConversationOptions {
  std::vector<ConversationFile> files;
  std::filesystem::path tokenizer;  ///< tokenizer.json, or the folder that holds it
  TokenTexts special_tokens;
  std::string chat_template;  ///< a name of chat_templates()
  std::int64_t sequence_length = 0;
  std::vector<MediaSource> media;  ///< per encoder, in order of declaration
};

/// "plain", "vicuna", "llama2", "llama3", "chatml": see docs/chat_templates.md.
std::vector<std::string> chat_templates();

/// A prompt without its answer and the answer's text, for measuring answer accuracy.
struct Question {
  TextRow prompt;      ///< ids only up to where the (last) answer begins, not padded; labels all -100
  std::string answer;  ///< as the file has it
};

/// LLaVA's conversation form: {"conversations": [{"from": "human"|"gpt", "value": text}], "image"|"images":
/// ..., "audio"|"audios": ...}; a list or a single path. The k-th placeholder of an image encoder takes the
/// k-th image, whichever encoder it is; the same for audio. A sample longer than sequence_length is an error,
/// never cut.
class ConversationDataset : public Dataset {
 public:
  /// Reads and checks every line (placeholders against media lists, files exist, the media fit
  /// sequence_length): the problems are in the error's message, one per line, each with file:line; from the
  /// 21st on they are only counted.
  static Result<std::unique_ptr<ConversationDataset>> open(const ConversationOptions& options);
  ~ConversationDataset() override;

  std::int64_t size() const override;
  SampleInfo info(std::int64_t sample) const override;
  Result<TextRow> text(std::int64_t sample) const override;
  Result<std::vector<MediaItem>> media(std::int64_t sample, int encoder) const override;
  std::int64_t pad_id() const override;
  /// A sample of several answers asks for the last one.
  Result<Question> question(std::int64_t sample) const;
  const Tokenizer& tokenizer() const;

 private:
  struct State;
  explicit ConversationDataset(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace cornstarch::dataio
