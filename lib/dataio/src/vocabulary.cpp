#include "vocabulary.h"

#include <functional>

namespace cornstarch::dataio {
namespace {

std::uint32_t hash_of(std::string_view token) {
  return static_cast<std::uint32_t>(std::hash<std::string_view>()(token));
}

}  // namespace

std::size_t Vocabulary::slot_of(std::string_view token, std::uint32_t hash) const {
  const std::size_t mask = slots_.size() - 1;
  std::size_t at = hash & mask;
  for (; slots_[at].id >= 0; at = (at + 1) & mask) {
    if (slots_[at].hash == hash && text_of(slots_[at].letters) == token) break;
  }
  return at;
}

void Vocabulary::grow() {
  std::vector<Slot> old(slots_.empty() ? 1024 : 2 * slots_.size());
  old.swap(slots_);
  const std::size_t mask = slots_.size() - 1;
  for (const Slot& slot : old) {
    if (slot.id < 0) continue;
    std::size_t at = slot.hash & mask;
    while (slots_[at].id >= 0) at = (at + 1) & mask;
    slots_[at] = slot;
  }
}

void Vocabulary::add(std::string_view token, std::int32_t id) {
  if (2 * taken_ >= slots_.size()) grow();
  const std::uint32_t hash = hash_of(token);
  Slot& slot = slots_[slot_of(token, hash)];
  if (slot.id < 0) {
    slot = {
        hash, id, {static_cast<std::uint32_t>(letters_.size()), static_cast<std::uint32_t>(token.size())}};
    letters_ += token;
    ++taken_;
  }
  slot.id = id;
  const auto at = static_cast<std::size_t>(id);
  if (by_id_.size() <= at) by_id_.resize(at + 1);
  by_id_[at] = slot.letters;
}

std::int32_t Vocabulary::find(std::string_view token) const {
  return slots_.empty() ? -1 : slots_[slot_of(token, hash_of(token))].id;
}

std::string_view Vocabulary::text(std::int64_t id) const {
  return id < 0 || id >= size() ? std::string_view() : text_of(by_id_[static_cast<std::size_t>(id)]);
}

}  // namespace cornstarch::dataio
