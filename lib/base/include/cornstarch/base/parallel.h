#pragma once

#include <cstddef>
#include <functional>

namespace cornstarch {

/// Calls f(i) for each i of [0, n) on up to `workers` threads, the calling one among them; i are begun in
/// ascending order. Of what the calls throw, it throws that of the smallest i, after all that began have
/// ended; no further ones begin.
void parallel_for(std::size_t n, int workers, const std::function<void(std::size_t)>& f);

}  // namespace cornstarch
