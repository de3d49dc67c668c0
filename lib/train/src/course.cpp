#include "course.h"

#include <cstdlib>
#include <string_view>

namespace cornstarch::train {
namespace {

constexpr std::string_view kUpdates = "updates/";

}  // namespace

void Course::write(checkpoint::Manifest& manifest) const {
  manifest.step = steps;
  manifest.samples = position.samples;
  const auto count = [&](const std::string& name, std::int64_t n) {
    manifest.counters[name] = std::to_string(n);
  };
  if (position.steps > 0) {
    count("packed_steps", position.steps);
    count("packed_window", window);
  }
  count("evaluated_step", evaluated);
  count("samples_read", read);
  count("samples_bad", bad);
  count("recordings_cut", cut);
  count("texts_cut", cut_texts);
  count("steps_left_out", left_out);
  count("bad_steps_in_a_row", bad_in_a_row);
  count("loss_spikes", spikes);
  if (std::string text = losses.text(); !text.empty()) manifest.counters["losses"] = std::move(text);
  for (const auto& [modality, n] : updates) count(std::string(kUpdates) + modality, n);
}

Course Course::of(const checkpoint::Manifest& manifest) {
  Course out;
  out.steps = static_cast<int>(manifest.step);
  out.position.samples = manifest.samples;
  for (const auto& [name, text] : manifest.counters) {
    const std::int64_t n = std::atoll(text.c_str());
    if (name == "packed_steps") out.position.steps = n;
    if (name == "packed_window") out.window = n;
    if (name == "evaluated_step") out.evaluated = static_cast<int>(n);
    if (name == "samples_read") out.read = n;
    if (name == "samples_bad") out.bad = n;
    if (name == "recordings_cut") out.cut = n;
    if (name == "texts_cut") out.cut_texts = n;
    if (name == "steps_left_out") out.left_out = n;
    if (name == "bad_steps_in_a_row") out.bad_in_a_row = static_cast<int>(n);
    if (name == "loss_spikes") out.spikes = n;
    if (name == "losses") out.losses = LossWindow::of(text);
    if (name.starts_with(kUpdates)) out.updates[name.substr(kUpdates.size())] = n;
  }
  return out;
}

}  // namespace cornstarch::train
