#include "preparer.h"

#include <utility>

#include "cornstarch/base/text.h"

namespace cornstarch::dataio {
namespace {

Result<MediaItem> prepare(const LogMel& mel, ByteSource bytes) {
  const LogMel::Options& wanted = mel.options();
  // A little more than is taken: enough to see that there is more.
  auto audio = read_audio(std::move(bytes), wanted.sampling_rate, wanted.n_samples + wanted.hop_length + 1);
  if (!audio) return tl::unexpected(audio.error());
  return mel(std::move(*audio));
}

Result<MediaItem> prepare(const auto& processor, ByteSource bytes) {
  const auto image = read_image(bytes);
  if (!image) return tl::unexpected(image.error());
  return processor(*image);
}

}  // namespace

Result<Preparer> Preparer::make(const MediaSource& source) {
  const auto with = [&](auto processor) -> Result<Preparer> {
    if (!processor) return tl::unexpected(processor.error());
    return Preparer(std::move(*processor), source.extents);
  };
  const bool image = source.kind == MediaKind::image;
  if (image && source.extents)
    return with(ImagePreprocessor::parse(source.preprocessor_json, source.item_shape));
  if (image)
    return with(PatchPreprocessor::parse(source.preprocessor_json, source.item_shape, source.patch_block));
  if (source.extents) return with(LogMel::parse(source.preprocessor_json, source.item_shape));
  return fail(ExitCode::bad_data,
              cat("no preprocessor keeps the lengths of what '", source.placeholder, "' stands for"));
}

Result<catalog::Extents> Preparer::extents(ByteSource bytes) const {
  if (extents_) return *extents_;
  const auto info = probe_image(bytes);
  if (!info) return tl::unexpected(info.error());
  return std::get<PatchPreprocessor>(processor_).extents(info->width, info->height);
}

Result<MediaItem> Preparer::operator()(ByteSource bytes) const {
  return std::visit([&](const auto& processor) { return prepare(processor, std::move(bytes)); }, processor_);
}

Result<MediaFile> Preparer::look(ByteSource bytes) const {
  MediaFile file;
  if (std::holds_alternative<LogMel>(processor_)) {
    const auto info = probe_audio(std::move(bytes));
    if (!info) return tl::unexpected(info.error());
    file.seconds = info->seconds();
    file.extents = *extents_;
    return file;
  }
  const auto info = probe_image(bytes);
  if (!info) return tl::unexpected(info.error());
  file.width = info->width;
  file.height = info->height;
  auto reached = extents(std::move(bytes));
  if (!reached) return tl::unexpected(reached.error());
  file.extents = *reached;
  return file;
}

std::string Preparer::to_json() const {
  return std::visit([](const auto& processor) { return processor.to_json(); }, processor_);
}

}  // namespace cornstarch::dataio
