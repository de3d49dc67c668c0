#include "input.h"
#include "shard.h"
#include "tar_writer.h"

namespace {

using namespace cornstarch;
using namespace cornstarch::dataio;
using fuzz::require;

/// What is found lies in the bytes, one behind the other, and the same whoever begins there.
void any(std::string_view bytes) {
  TarReader reader{ByteSource(bytes)};
  std::int64_t reached = 0;
  for (auto member = reader.next(); member && *member; member = reader.next()) {
    const TarMember& m = **member;
    require(m.headers >= reached && m.begin >= m.headers + 512 && m.size >= 0);
    require(m.size <= std::ssize(bytes) - m.begin && reader.position() >= m.begin + m.size);
    require(!m.name.starts_with('/') && m.name != ".." && !m.name.starts_with("../"));
    reached = reader.position();
    TarReader again(ByteSource(bytes), m.headers);
    const auto same = again.next();
    require(same && *same && (*same)->name == m.name && (*same)->begin == m.begin && (*same)->size == m.size);
  }
  ShardReader shard{ByteSource(bytes)};
  for (auto sample = shard.next(); sample && *sample; sample = shard.next()) {
    for (const TarMember& m : (*sample)->members) {
      const auto name = shard_name(m.name);
      require(name && name->key == (*sample)->key && !name->extension.empty());
    }
    ShardReader again(ByteSource(bytes), (*sample)->begin());
    const auto same = again.next();
    // What is wrong behind a sample may hide its end.
    require(!same || ((*same) && (*same)->members.size() == (*sample)->members.size()));
  }
}

/// An archive that is one, with what must come out.
void made_up(fuzz::Input& input) {
  std::string archive;
  std::vector<std::pair<std::string, std::string>> wanted;
  for (std::size_t n = input.below(5); n-- > 0;) {
    const std::size_t form = input.below(4);
    std::string name(input.word());
    const std::string content(input.word());
    std::erase_if(name, [](char c) { return c == '/' || c == '.'; });
    if (name.empty()) name = "n";
    if (form == 1)
      archive += test::tar_member("x", test::pax_record("path", name) + test::pax_record("uid", "7"), 'x');
    if (form == 2) archive += test::tar_member("L", name + '\0', 'L');
    if (form == 3) archive += test::tar_member("f/", "", '5') + test::tar_end();
    const bool extended = form == 1 || form == 2;
    if (!extended) name.resize(std::min<std::size_t>(name.size(), 100));
    archive += test::tar_member(extended ? "other" : name, content);
    wanted.emplace_back(name, content);
  }
  archive += test::tar_end();
  any(archive);
  TarReader reader{ByteSource(archive)};
  for (const auto& [name, content] : wanted) {
    const auto member = reader.next();
    require(member && *member && (*member)->name == name);
    require(archive.compare(static_cast<std::size_t>((*member)->begin),
                            static_cast<std::size_t>((*member)->size), content) == 0);
  }
  const auto end = reader.next();
  require(end && !*end);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (is_tar(bytes) || size % 512 == 0) {
    any(bytes);
  } else {
    fuzz::Input input(data, size);
    made_up(input);
  }
  return 0;
}
