#include "cornstarch/control/secret.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pwd.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <optional>

#include "cornstarch/base/text.h"

namespace cornstarch::control {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kSecretBytes = 32;
constexpr std::size_t kShortestSecret = 16;  // characters of CORNSTARCH_SECRET
constexpr const char* kHelp =
    "or set CORNSTARCH_SECRET, the same for every process of the run and for nobody else, to what "
    "'openssl rand -hex 32' says";

std::string os_text() { return std::strerror(errno); }

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  operator int() const { return fd_; }

 private:
  int fd_;
};

Result<fs::path> secret_file(const launch::GetEnv& get_env) {
  std::string home = get_env("XDG_CONFIG_HOME").value_or("");
  if (home.empty()) {
    home = get_env("HOME").value_or("");
    if (const passwd* user = home.empty() ? ::getpwuid(::geteuid()) : nullptr) home = user->pw_dir;
    if (!home.empty()) home += "/.config";
  }
  if (!home.empty() && home.front() == '/') return fs::path(home) / "cornstarch-train" / "secret";
  return fail(ExitCode::launch,
              "there is no home folder for the secret by which the ranks of a run know each other",
              cat("set HOME, ", kHelp));
}

Result<std::string> read_secret(const fs::path& file) {
  const Descriptor fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (fd < 0) return fail(ExitCode::launch, cat("cannot read ", file.string(), ": ", os_text()), kHelp + 3);
  struct stat status{};
  ::fstat(fd, &status);
  if (!S_ISREG(status.st_mode) || status.st_uid != ::geteuid() || (status.st_mode & 077) != 0)
    return fail(
        ExitCode::launch,
        cat(file.string(),
            ", the secret by which the ranks of a run know each other, must be a file of this user's that "
            "nobody else may read"),
        cat("remove it, and a new one is made, ", kHelp));
  std::array<char, 2 * kSecretBytes + 1> text{};
  const ssize_t size = ::read(fd, text.data(), text.size());
  if (size >= static_cast<ssize_t>(2 * kSecretBytes)) return std::string(text.data(), 2 * kSecretBytes);
  return fail(ExitCode::launch, cat(file.string(), " is too short for a secret"),
              cat("remove it, and a new one is made, ", kHelp));
}

/// Whole or not at all, and never another than the one that is there.
Result<void> make_secret(const fs::path& file) {
  const auto failed = [&] {
    return fail(ExitCode::launch,
                cat("cannot make ", file.string(),
                    ", the secret by which the ranks of a run know each other: ", os_text()),
                kHelp + 3);
  };
  std::error_code ignored;
  fs::create_directories(file.parent_path(), ignored);
  const std::string draft = cat(file.string(), ".", ::getpid(), ".", to_hex(random_bytes(4)));
  {
    const Descriptor fd(::open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (fd < 0) return failed();
    const std::string text = to_hex(random_bytes(kSecretBytes)) + "\n";
    if (::write(fd, text.data(), text.size()) != static_cast<ssize_t>(text.size()) || ::fsync(fd) != 0) {
      const auto error = failed();
      ::unlink(draft.c_str());
      return error;
    }
  }
  const bool made = ::link(draft.c_str(), file.c_str()) == 0 || errno == EEXIST;
  const auto error = failed();
  ::unlink(draft.c_str());
  if (!made) return error;
  return {};
}

/// Where a library ends the process by exit(), ranks still talk while handlers run, and one of libcrypto's
/// would take away what they sign with.
void keep_libcrypto() {
  static const int kept = OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, nullptr);
  static_cast<void>(kept);
}

}  // namespace

std::string to_hex(std::string_view bytes) {
  constexpr const char* digits = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    text += digits[byte >> 4];
    text += digits[byte & 15];
  }
  return text;
}

std::string from_hex(std::string_view text) {
  const auto digit = [](char c) {
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= '0' && c <= '9' ? c - '0' : 0;
  };
  std::string bytes;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2)
    bytes += static_cast<char>(digit(text[i]) << 4 | digit(text[i + 1]));
  return bytes;
}

std::string random_bytes(std::size_t count) {
  std::string bytes(count, '\0');
  for (std::size_t done = 0; done < count;) {
    const ssize_t n = ::getrandom(bytes.data() + done, count - done, 0);
    if (n > 0) done += static_cast<std::size_t>(n);
    if (n < 0 && errno != EINTR) throw Failure(ExitCode::device, cat("getrandom: ", os_text()));
  }
  return bytes;
}

std::string sign(std::string_view secret, std::initializer_list<std::string_view> parts) {
  std::string text;
  for (const std::string_view part : parts) {
    for (int shift = 56; shift >= 0; shift -= 8)
      text += static_cast<char>(std::uint64_t{part.size()} >> shift);
    text += part;
  }
  keep_libcrypto();
  std::array<unsigned char, EVP_MAX_MD_SIZE> out{};
  unsigned size = 0;
  if (!HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
            reinterpret_cast<const unsigned char*>(text.data()), text.size(), out.data(), &size))
    throw Failure(ExitCode::device, "libcrypto cannot compute HMAC-SHA256");
  return {reinterpret_cast<const char*>(out.data()), size};
}

bool equal_secretly(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

Result<std::string> user_secret(const launch::GetEnv& get_env) {
  if (const auto given = get_env("CORNSTARCH_SECRET")) {
    if (given->size() >= kShortestSecret) return *given;
    return fail(ExitCode::launch,
                cat("CORNSTARCH_SECRET has ", given->size(), " characters, but a secret has ",
                    kShortestSecret, " or more"),
                "set it to what 'openssl rand -hex 32' says, or not at all");
  }
  const auto file = secret_file(get_env);
  if (!file) return tl::unexpected(file.error());
  if (::access(file->c_str(), F_OK) != 0) {
    if (const auto made = make_secret(*file); !made) return tl::unexpected(made.error());
  }
  return read_secret(*file);
}

}  // namespace cornstarch::control
