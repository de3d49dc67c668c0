#include "nccl_store.h"

#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "cornstarch/base/text.h"
#include "describe.h"

namespace cornstarch::comm {
namespace {

std::string reason(const std::exception& error) {
  const auto* torch = dynamic_cast<const c10::Error*>(&error);
  return one_line(torch ? torch->what_without_backtrace() : error.what());
}

std::vector<std::uint8_t> bytes(const std::string& text) { return {text.begin(), text.end()}; }

std::string text(const std::vector<std::uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }

}  // namespace

struct Store::Impl {
  c10d::TCPStore store;
  std::string prefix;
  std::string where;

  Error gone(const std::exception& error) const {
    return {ExitCode::launch, cat("the store at ", where, ": ", reason(error)), {}};
  }
};

Store::Store(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Store::~Store() = default;

Result<std::unique_ptr<Store>> Store::connect(const launch::Rendezvous& where, int rank,
                                              std::chrono::milliseconds limit) {
  c10d::TCPStoreOptions options;
  options.port = static_cast<std::uint16_t>(where.port);
  options.isServer = rank == 0 && !where.served;
  options.waitWorkers = false;
  options.timeout = limit;
  const std::string place = cat(where.host, " port ", where.port);
  try {
    return std::unique_ptr<Store>(
        new Store(std::unique_ptr<Impl>(new Impl{c10d::TCPStore(where.host, options), where.prefix, place})));
  } catch (const std::exception& error) {
    if (options.isServer)
      return fail(ExitCode::launch, cat("rank 0 cannot serve the store at ", place, ": ", reason(error)),
                  "set MASTER_ADDR to rank 0's host and MASTER_PORT to a port that is free there");
    return fail(ExitCode::launch,
                cat("rank ", rank, " cannot reach rank 0's store at ", place, " within ",
                    describe_duration(limit), ": ", reason(error)),
                "set MASTER_ADDR to rank 0's host and MASTER_PORT to a port that is free there");
  }
}

void Store::set(const std::string& key, const std::string& value) {
  try {
    impl_->store.set(impl_->prefix + key, bytes(value));
  } catch (const std::exception& error) {
    throw Failure(impl_->gone(error));
  }
}

std::optional<std::string> Store::find(const std::string& key) {
  try {
    if (!impl_->store.check({impl_->prefix + key})) return std::nullopt;
    return text(impl_->store.get(impl_->prefix + key));
  } catch (const std::exception& error) {
    throw Failure(impl_->gone(error));
  }
}

std::int64_t Store::add(const std::string& key, std::int64_t value) {
  try {
    return impl_->store.add(impl_->prefix + key, value);
  } catch (const std::exception& error) {
    throw Failure(impl_->gone(error));
  }
}

Result<std::string> Store::get(const std::string& key) {
  try {
    return text(impl_->store.get(impl_->prefix + key));
  } catch (const std::exception& error) {
    return tl::unexpected(impl_->gone(error));
  }
}

}  // namespace cornstarch::comm
