#include <cmath>

#include "cornstarch/base/text.h"
#include "vision_tower.h"

namespace cornstarch::catalog {
namespace {

/// SiglipPreTrainedModel._init_weights, whose Xavier and LeCun distributions have these deviations.
void set_deviations(VisionTower& siglip) {
  const auto of = [](double numerator, std::int64_t size) {
    return std::sqrt(numerator / static_cast<double>(size));
  };
  const double square = of(1, siglip.hidden), oblong = of(2, siglip.hidden + siglip.mlp);
  siglip.patch_std = of(1, siglip.channels * siglip.patch * siglip.patch);
  siglip.position_std = of(1, siglip.hidden);
  siglip.layer_std = {.qkv = square, .o = square, .up = oblong, .down = oblong};
}

void build(HfConfig& config, ModelSpec& spec) {
  VisionTower siglip =
      read_vision_tower(config, {.patch = 16, .activation = "gelu_pytorch_tanh", .eps = 1e-6});
  siglip.patch_bias = true;
  set_deviations(siglip);
  config.ignore({"vision_use_head"});
  if (!config.problems().empty()) return;
  build_vision_tower(siglip, spec);
  spec.preprocessor = cat(R"({"image_processor_type": "SiglipImageProcessor", "size": {"height": )",
                          siglip.image, R"(, "width": )", siglip.image, "}}");
}

}  // namespace

const Family& siglip_family() {
  static const Family family{
      .info = {"siglip_vision_model", ModelKind::vision, "SigLIP's vision transformer (SiglipVisionModel)"},
      .section = "vision_config",
      .model_types = {"siglip_vision_model", "siglip"},
      .architecture = "SiglipVisionModel",
      .architectures = {"SiglipModel"},
      .build = build,
      .cut_prefix = "vision_model.",
      .weight_prefixes = {"vision_model.", ""},
      .adapter_prefixes = {"", "vision_model."},
      .ignored_weights = {"text_model.*", "logit_scale", "logit_bias", "*embeddings.position_ids", "*head.*"},
      .telltales = {kScaledLayers},
      .complete = [](const ModelSpec&, Json& config) { config["vision_use_head"] = false; },
  };
  return family;
}

}  // namespace cornstarch::catalog
