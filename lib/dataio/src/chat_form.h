#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "cornstarch/dataio/chat_template.h"
#include "cornstarch/templates/template.h"

namespace cornstarch::dataio {

/// Where an item stands in what a template writes.
struct MediaMark {
  std::string text = {};                ///< what is found there
  std::string before = {}, after = {};  ///< what comes around the features in its place
  bool part = false;  ///< the template is given the item as a part of a turn; else its placeholder is text
  bool own_line = false;  ///< the template ends the line behind it
};

/// What a template wants conversations to look like, as trying it shows: a turn's content as text or as a
/// list of parts, and what it writes for those that are media.
class ChatForm {
 public:
  static Result<ChatForm> of(const templates::Template& chat, std::vector<templates::Named> constants,
                             const std::vector<MediaSource>& media);

  /// A turn is given as parts where it holds an item that is one, or where the template takes no text.
  Result<templates::Rendering> render(std::span<const Turn> turns, bool asks) const;
  /// Per encoder.
  const std::vector<MediaMark>& marks() const { return marks_; }
  const std::vector<MediaSource>& media() const { return media_; }

 private:
  explicit ChatForm(const templates::Template& chat) : chat_(chat) {}
  Result<templates::Rendering> render(templates::Value messages, bool asks) const;
  Result<std::string> say(templates::Value content) const;
  MediaMark mark_of(const MediaSource& source, const std::string& without) const;
  templates::Value content_of(const std::string& text) const;

  templates::Template chat_;
  std::vector<templates::Named> constants_;
  std::vector<MediaMark> marks_;
  std::vector<MediaSource> media_;
  bool takes_text_ = false;
};

}  // namespace cornstarch::dataio
