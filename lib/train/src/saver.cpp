#include "saver.h"

#include <ATen/ops/aminmax.h>
#include <ATen/ops/empty.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <new>

#include "cornstarch/base/log.h"
#include "cornstarch/base/text.h"

namespace cornstarch::train {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::milliseconds kLook{50};

/// In a thread of its own, whatever happens there.
template <typename Work>
std::future<Result<void>> in_background(int rank, Work work) {
  return std::async(std::launch::async, [rank, work = std::move(work)]() -> Result<void> {
    log::set_rank(rank);
    try {
      return work();
    } catch (const std::bad_alloc&) {
      return fail(ExitCode::device, "there is no memory to write it");
    } catch (const std::exception& e) {
      return fail(ExitCode::io, e.what());
    }
  });
}

bool holds_weights(const fs::path& file) { return file.extension() == ".safetensors"; }

Result<std::vector<checkpoint::Reference>> hash_references(const SaverOptions& options,
                                                           const checkpoint::GivesUp& gives_up) {
  std::vector<checkpoint::Reference> out;
  for (const auto& [modality, folder] : options.references) {
    const auto same = std::ranges::find(out, folder, &checkpoint::Reference::folder);
    if (same != out.end()) {  // parts of one checkpoint
      out.push_back({modality, folder, same->files});
      continue;
    }
    checkpoint::Reference& reference = out.emplace_back(checkpoint::Reference{modality, folder, {}});
    for (const auto& entry : fs::directory_iterator(folder)) {
      if (!holds_weights(entry.path())) continue;
      auto file = checkpoint::hash_file(entry.path(), gives_up);
      if (!file) return tl::unexpected(file.error());
      reference.files.push_back(std::move(*file));
    }
  }
  return out;
}

/// A NaN is the least and the greatest of whatever it is among.
bool is_finite(const at::Tensor& value) {
  const auto [least, greatest] = at::aminmax(value);
  return std::isfinite(least.item<double>()) && std::isfinite(greatest.item<double>());
}

}  // namespace

Saver::Saver(SaverOptions options, int rank, at::Device device)
    : options_(std::move(options)), rank_(rank), device_(device) {
  if (rank_ == 0)
    references_ = std::async(std::launch::async, [this] {
                    return hash_references(options_, [this] { return gives_up_.load(); });
                  }).share();
}

Saver::~Saver() {
  gives_up_ = true;
  if (writing_.valid()) writing_.wait();
  if (committing_.valid()) committing_.wait();
}

void Saver::begin(checkpoint::Manifest manifest, const std::vector<StateTensor>& state, bool waits) {
  settle();
  busy_ = true;
  ended_.reset();
  manifest_ = std::move(manifest);
  pieces_.clear();
  values_.clear();
  for (const StateTensor& each : state) {
    pieces_.push_back(each.piece);
    values_.push_back(each.value.contiguous());
  }
  copies_.resize(state.size());
  copying_ = {};
  if (device_.is_cuda()) {
    copy();
    copied_.emplace(device_.type());
    copied_->record(c10::impl::VirtualGuardImpl(device_.type()).getStream(device_));
  } else if (!waits) {
    copying_ = in_background(rank_, [this] {
                 if (options_.on_copy) options_.on_copy();
                 copy();
                 return Result<void>();
               }).share();
  }
  writing_ = in_background(rank_, [this, copying = copying_] {
    const Result<void> copied = copying.valid() ? copying.get() : Result<void>();
    return copied ? write() : copied;
  });
}

/// On the host by memcpy: ATen's copies would take threads that compute.
void Saver::copy() {
  for (std::size_t i = 0; i < values_.size() && !gives_up_; ++i) {
    const at::Tensor& value = values_[i];
    if (!copies_[i].defined())
      copies_[i] =
          at::empty(value.sizes(), value.options().device(at::kCPU).pinned_memory(device_.is_cuda()));
    if (device_.is_cuda()) {
      copies_[i].copy_(value, /*non_blocking=*/true);
    } else {
      std::memcpy(copies_[i].mutable_data_ptr(), value.const_data_ptr(), value.nbytes());
    }
    values_[i] = copies_[i];
  }
}

void Saver::finish_copying() {
  if (copying_.valid()) copying_.wait();
  copying_ = {};
}

Result<void> Saver::write() {
  if (copied_) copied_->synchronize();
  std::vector<checkpoint::PieceToWrite> pieces;
  for (std::size_t i = 0; i < pieces_.size() && !gives_up_; ++i)
    if (!is_finite(values_[i])) return fail(ExitCode::numerics, cat(pieces_[i].name, " is not finite"));
  for (std::size_t i = 0; i < pieces_.size(); ++i)
    pieces.push_back(
        {pieces_[i], {static_cast<const std::byte*>(values_[i].const_data_ptr()), values_[i].nbytes()}});
  auto written = checkpoint::write_part(checkpoint::partial_folder(options_.dir, manifest_.step), rank_,
                                        pieces, options_.threads, [this] { return gives_up_.load(); });
  if (!written || rank_ != 0) return written;
  const auto& references = references_.get();
  if (!references) return tl::unexpected(references.error());
  manifest_.references = *references;
  return {};
}

Saver::Part Saver::part() {
  if (ended_) return *ended_;
  if (writing_.wait_for(std::chrono::seconds(0)) != std::future_status::ready) return Part::writing;
  const Result<void> written = writing_.get();
  ended_ = written ? Part::written : Part::failed;
  report(written, "is not saved");
  return *ended_;
}

Saver::Part Saver::wait() {
  if (!ended_) wait_for(writing_);
  return part();
}

void Saver::wait_for(const std::future<Result<void>>& work) const {
  while (work.wait_for(kLook) != std::future_status::ready)
    if (options_.check) options_.check();
}

void Saver::conclude(bool whole) {
  busy_ = false;
  if (rank_ != 0) return;
  committing_ = in_background(rank_, [this, whole] {
    if (whole) return make_whole();
    checkpoint::abandon(options_.dir, manifest_.step);
    return Result<void>();
  });
}

Result<void> Saver::make_whole() {
  const auto path = checkpoint::commit(options_.dir, manifest_);
  if (!path) {
    checkpoint::abandon(options_.dir, manifest_.step);
    return tl::unexpected(path.error());
  }
  log::info(cat("checkpoint: ", path->string()));
  if (const auto pruned = checkpoint::prune(options_.dir, options_.keep, options_.keep_every); !pruned)
    log::warning(pruned.error().message);
  return {};
}

bool Saver::is_whole(std::int64_t step) const {
  return fs::exists(checkpoint::whole_folder(options_.dir, step));
}

void Saver::settle() {
  if (!committing_.valid()) return;
  wait_for(committing_);
  report(committing_.get(), "is not saved");
}

void Saver::report(const Result<void>& done, const std::string& what) const {
  if (done) return;
  const std::string message =
      cat("the checkpoint of step ", manifest_.step, " ", what, ": ", done.error().message);
  if (options_.fails) throw Failure(ExitCode::io, message, "checkpoint.on_error: warn goes on without it");
  log::warning(cat(message, "; training goes on"));
}

}  // namespace cornstarch::train
