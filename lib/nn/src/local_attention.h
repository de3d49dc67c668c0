#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "cornstarch/plan/attention_pattern.h"
#include "flash.h"

namespace cornstarch::nn {

/// One or several equal calls of a flash kernel: `count` of them, their queries and keys `step` rows apart.
struct Tile {
  Range queries;  ///< of the first
  Range keys;
  bool causal = false;
  bool reversed = false;  ///< queries and keys are taken from the last to the first
  std::int64_t count = 1;
  std::int64_t query_step = 0;
  std::int64_t key_step = 0;
  bool first = true;  ///< of all tiles with these queries
};

/// The attention between one list of queries and one of keys, all on this rank: what the pattern leaves of
/// it, as calls of a kernel without masks.
class LocalAttention {
 public:
  LocalAttention(const plan::AttentionPattern& pattern, const std::vector<std::int64_t>& queries,
                 const std::vector<std::int64_t>& keys);

  void move_to(at::Device device);

  /// Merges the attention of q [n, heads, d] over k, v [m, kv_heads, d] into `to` (n first dimension), which
  /// is as nothing_attended() gave it if `fresh`. `softcap` as flash_forward's.
  void forward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double softcap,
               const Attended& to, bool fresh = true) const;

  /// Adds the gradients through these keys to dq, dk and dv. `all`: the attention over all keys.
  void backward(const at::Tensor& grad, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                double softcap, const Attended& all, const at::Tensor& dq, const at::Tensor& dk,
                const at::Tensor& dv) const;

  /// The single tile that is all there is, every row of `queries` and of as many keys in its turn; else null.
  const Tile* only_tile(std::int64_t queries) const;

 private:
  struct Part {
    at::Tensor queries, keys;  // rows; undefined: all
    std::vector<Tile> tiles;
  };
  void forward_heads(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double softcap,
                     const Attended& to, bool fresh) const;
  void backward_heads(const at::Tensor& grad, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                      double softcap, const Attended& all, const at::Tensor& dq, const at::Tensor& dk,
                      const at::Tensor& dv) const;
  std::vector<Part> parts_;
};

/// These heads of x [n, heads, ...], a view.
at::Tensor heads(const at::Tensor& x, Range range);

/// out = 0 [n, heads, d] and lse = -inf [n, heads], in the dtype in which attention of q is summed up.
Attended nothing_attended(const at::Tensor& q);

/// The dtype in which attention of x is summed up: fp32 or wider.
at::ScalarType sum_type(const at::Tensor& x);

}  // namespace cornstarch::nn
