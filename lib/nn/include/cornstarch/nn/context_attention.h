#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "cornstarch/comm/communicator.h"
#include "cornstarch/config/run_config.h"
#include "cornstarch/plan/token_layout.h"

/// Masked attention over tokens that are spread over the ranks of a group (context parallelism). Exact for
/// any pattern, any lengths and any shares.
namespace cornstarch::nn {

/// How the tokens of one microbatch attend to each other, prepared for one rank. Holds no activations: one
/// layout serves every layer of a stage, forward and backward.
struct ContextLayout;
using ContextLayoutPtr = std::shared_ptr<const ContextLayout>;

/// `tokens`: not as plain rows, dealt to the ranks of `group`. Each is on one rank; those on none are neither
/// queries nor keys. The rank of a group of one holds what it likes, padding too. `window`: of the layers. No
/// rank waits for another, and any thread may call this: the layout is one for the CPU.
///   all_to_all  heads are scattered and the sequence gathered (Jacobs et al., DeepSpeed Ulysses, 2023);
///   needs
///               query and key/value heads divisible by the group's size
///   ring_attn   keys and values of a few heads at a time are gathered while those before them are computed
///   ring        keys and values travel round the ranks (Liu et al., Ring Attention, 2023)
ContextLayoutPtr context_layout(const plan::TokenLayout& tokens, std::int64_t window, config::SpMode mode,
                                comm::CommunicatorPtr comm, comm::GroupPtr group);

/// The same layout for tensors of another device.
ContextLayoutPtr on_device(const ContextLayoutPtr& layout, at::Device device);

/// softmax(q k^T / sqrt(head_dim)) v over the keys that the pattern shows each query, for this rank's tokens:
/// q [n, heads x head_dim], k and v [n, kv_heads x head_dim], heads a multiple of kv_heads. Returns
/// [n, heads x head_dim]: zeros where a query sees no key. `softcap` as attention()'s. Every rank of the
/// group calls it in the same order, with any n, and so does backward.
at::Tensor context_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                             std::int64_t head_dim, const ContextLayoutPtr& layout, double softcap = 0);

}  // namespace cornstarch::nn
