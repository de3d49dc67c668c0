#include "resampler.h"

#include <soxr.h>

#include <cmath>

#include "cornstarch/base/text.h"

namespace cornstarch::dataio {
namespace {

tl::unexpected<Error> failure(int from, int to, soxr_error_t error) {
  return fail(ExitCode::bad_data,
              cat("cannot resample from ", from, " to ", to, " Hz: ", soxr_strerror(error)));
}

}  // namespace

Result<Resampler> Resampler::make(int from, int to) {
  Resampler resampler(from, to);
  if (from == to) return resampler;
  soxr_error_t error = nullptr;
  const soxr_quality_spec_t quality = soxr_quality_spec(SOXR_HQ, 0);
  resampler.soxr_ = {soxr_create(from, to, 1, &error, nullptr, &quality, nullptr), soxr_delete};
  if (error != nullptr) return failure(from, to, error);
  return resampler;
}

Result<void> Resampler::add(const std::vector<float>& samples, std::vector<float>& out) {
  if (!soxr_) {
    out.insert(out.end(), samples.begin(), samples.end());
    return {};
  }
  const double ratio = static_cast<double>(to_) / from_;
  const auto room = static_cast<std::size_t>(std::ceil(static_cast<double>(samples.size()) * ratio)) + 4096;
  for (std::size_t used = 0, made = room; used < samples.size() || made == room;) {
    const std::size_t had = out.size();
    out.resize(had + room);
    std::size_t taken = 0;
    const soxr_error_t error = soxr_process(soxr_.get(), samples.empty() ? nullptr : samples.data() + used,
                                            samples.size() - used, &taken, out.data() + had, room, &made);
    if (error != nullptr) return failure(from_, to_, error);
    out.resize(had + made);
    used += taken;
  }
  return {};
}

}  // namespace cornstarch::dataio
