#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cornstarch/comm/communicator.h"

/// Matrix products whose operands are rounded to e4m3, eight bits with numbers up to 448 (Micikevicius et
/// al., "FP8 Formats for Deep Learning", 2022).
namespace cornstarch::nn {

/// A matrix [n, k] in e4m3 on a GPU, in the forms that products take; the operation that makes it leaves out
/// what nobody will take.
struct Fp8Matrix {
  at::Tensor rows;     ///< [n, k]
  at::Tensor columns;  ///< [k, n], with zeros behind up to a multiple of 16
  at::Tensor inverse;  ///< its numbers times this are the matrix: an fp32 scalar
  std::int64_t n = 0;
};

/// The scales of a stage's operands: a tensor times its scale is rounded to e4m3, products are divided again.
/// Scales are powers of two, so nothing but the rounding changes a number. They come from the largest value
/// that the tensor had in the last step on any rank, with room for values twice as large; what is larger
/// still is cut. A tensor that has no scale yet, as none has in the first step, is not rounded.
class Fp8Scales {
 public:
  enum class Role : std::int64_t { input, weight, gradient };

  struct Site {
    at::Tensor largest;  ///< magnitude in this step; scalars in fp32
    at::Tensor scale;    ///< 0 where there is none yet
    at::Tensor inverse;
  };

  /// A layer, by its weight's name; returns its number.
  std::int64_t add(std::string weight);
  /// After the last of them: where they compute, and whether their weights stay there through a step.
  void place(at::Device device, bool weights_stay);

  /// What was seen until now does not count.
  void begin_step();
  /// The step's backward is done everywhere: new scales where `sound` (a bool scalar of the device) says so.
  /// Every rank of the groups, which reach all that share a tensor one after the other, calls this.
  void agree(const std::vector<comm::GroupPtr>& groups, const at::Tensor& sound);

  const Site& site(std::int64_t layer, Role role) const;
  /// Whether it has a scale. Waits for the device, once a step, where it had none when it was last asked.
  bool known(std::int64_t layer, Role role);

  /// Where this step's form of a layer's weight is kept; null where weights come and go.
  Fp8Matrix* kept(std::int64_t layer);

  const std::vector<std::string>& weights() const { return weights_; }
  /// [layer][role], which outlive a run.
  const at::Tensor& scales() const { return scales_; }
  /// They were written to from elsewhere.
  void changed();

 private:
  std::vector<std::string> weights_;
  at::Tensor largest_, scales_, inverses_;  // [layer, role] fp32
  std::vector<Site> sites_;
  std::vector<bool> known_;
  bool looked_ = false;  // since scales have changed
  bool weights_stay_ = false;
  std::vector<Fp8Matrix> kept_;
};

/// One of the layers that scales are of; none where `scales` is null.
struct Fp8Layer {
  std::shared_ptr<Fp8Scales> scales = nullptr;
  std::int64_t number = 0;
};

}  // namespace cornstarch::nn
