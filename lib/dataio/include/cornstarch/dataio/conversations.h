#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "cornstarch/dataio/dataset.h"

namespace cornstarch::dataio {

enum class MediaKind { image, audio };

/// How the media of one encoder are found in a conversation and prepared.
struct MediaSource {
  std::string placeholder;  ///< "<image>"
  MediaKind kind = MediaKind::image;
  std::int64_t features_per_item = 0;   ///< ids that a placeholder expands to
  std::vector<std::int64_t> item_shape; ///< [3, H, W] or [mels, frames]
  std::string preprocessor_json;        ///< text of preprocessor_config.json, or "" for the HF class's defaults that
                                        ///< fit item_shape
};

struct ConversationFile {
  std::filesystem::path path;        ///< .jsonl (one sample a line) or .json (an array)
  std::filesystem::path media_root;  ///< media paths are resolved inside it only
  double weight = 1.0;               ///< samples of an epoch: round(weight x size), the first ones repeated or left out
};

struct ConversationOptions {
  std::vector<ConversationFile> files;
  std::filesystem::path tokenizer;  ///< tokenizer.json
  std::string chat_template;        ///< a name of chat_templates()
  std::int64_t sequence_length = 0;
  std::vector<MediaSource> media;   ///< per encoder, in order of declaration
};

/// "plain": user turns as they are, assistant turns learnt, separated by a newline; ...
std::vector<std::string> chat_templates();

/// A prompt without its answer and the answer's text, for measuring answer accuracy.
struct Question {
  TextRow prompt;  ///< ids only up to where the (last) answer begins; labels all -100
  std::string answer;
};

/// LLaVA's conversation form: {"conversations": [{"from": "human"|"gpt", "value": text}], "image"|"images": ...,
/// "audio"|"audios": ...}.
class ConversationDataset : public Dataset {
 public:
  /// Reads and checks every line (placeholders against media lists, files exist): all problems are in the error's
  /// message, one per line, each with file:line.
  static Result<std::unique_ptr<ConversationDataset>> open(const ConversationOptions& options);
  ~ConversationDataset() override;

  std::int64_t size() const override;
  SampleInfo info(std::int64_t sample) const override;
  Result<TextRow> text(std::int64_t sample) const override;
  Result<std::vector<MediaItem>> media(std::int64_t sample, int encoder) const override;
  std::int64_t pad_id() const override;
  Result<Question> question(std::int64_t sample) const;

 private:
  struct State;
  explicit ConversationDataset(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace cornstarch::dataio
