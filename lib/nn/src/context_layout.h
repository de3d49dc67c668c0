#pragma once

#include <array>
#include <vector>

#include "cornstarch/nn/context_attention.h"
#include "local_attention.h"

namespace cornstarch::nn {

struct ContextLayout {
  config::SpMode mode;
  comm::CommunicatorPtr comm;
  comm::GroupPtr group;
  std::vector<std::int64_t> counts;  ///< tokens of each rank
  std::int64_t largest = 0;          ///< of counts

  /// In a group of one and for all_to_all: all tokens x all tokens. ring_attn: this rank's queries x all
  /// keys. ring: for each rank's keys, this rank's queries.
  std::vector<LocalAttention> local;

  /// Where the tokens of all ranks, in ascending order, lie in what is gathered of them: for all_to_all one
  /// rank behind the other, for ring_attn `largest` rows from each rank.
  at::Tensor order;
  at::Tensor inverse;  ///< all_to_all: the reverse permutation

  int size() const { return group->size(); }
  int rank() const { return group->rank(); }
  std::int64_t count(int rank) const { return counts[static_cast<std::size_t>(rank)]; }
  int world_rank(int rank) const { return group->ranks()[static_cast<std::size_t>(rank)]; }
};

struct Qkv {
  at::Tensor q, k, v;  // [n, heads or kv_heads, d]
  double softcap = 0;
};

/// What backward needs. Where heads are scattered, of the gathered sequence.
struct Saved {
  Qkv qkv;
  Attended all;  ///< out in the dtype of q
};

struct Forward {
  at::Tensor out;  ///< [n, heads, d]
  Saved saved;
};

Forward local_forward(const ContextLayout& layout, const Qkv& qkv);
Qkv local_backward(const ContextLayout& layout, const Saved& saved, const at::Tensor& grad);

Forward scatter_heads_forward(const ContextLayout& layout, const Qkv& qkv);
Qkv scatter_heads_backward(const ContextLayout& layout, const Saved& saved, const at::Tensor& grad);

Forward gather_heads_forward(const ContextLayout& layout, const Qkv& qkv);
Qkv gather_heads_backward(const ContextLayout& layout, const Saved& saved, const at::Tensor& grad);

Forward ring_forward(const ContextLayout& layout, const Qkv& qkv);
Qkv ring_backward(const ContextLayout& layout, const Saved& saved, const at::Tensor& grad);

/// Zeros of the shapes of q, k and v, in the dtype in which gradients are summed up.
Qkv no_gradients(const Qkv& qkv);
/// What backward needs of a forward that is complete.
Saved saved(const Qkv& qkv, const Attended& all);

}  // namespace cornstarch::nn
