#include "cornstarch/pipeline/executor.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/full.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <exception>
#include <map>
#include <optional>
#include <utility>

#include "answers.h"
#include "cornstarch/base/text.h"
#include "cornstarch/models/split_tokens.h"
#include "describe.h"
#include "held_stage.h"
#include "mailbox.h"

namespace cornstarch::pipeline {
namespace {

using plan::Op;

/// A microbatch on its way through a stage: what backward needs.
struct Flight {
  std::vector<at::Tensor> inputs;  ///< leaves: one per seam into the stage, undefined where nothing came
  at::Tensor output;               ///< activations, or the loss on the LLM's last stage
};

/// Layouts of an encoder's items that are kept, one for each microbatch of other items.
constexpr std::size_t kItemTokens = 64;

using StepKey = std::pair<int, int>;  // (stage or seam, microbatch)

/// A step or a pass over held-out samples under way on this rank.
struct Pass {
  const plan::Activity& activity;
  const plan::Activity& anyone;
  const StepInputs& inputs;
  const std::vector<bool>& reached;
  bool training = false;
  bool dropped = false;
  StepSums sums = {};
  at::Tensor loss = {};
  std::map<StepKey, Flight> flights = {};          ///< by stage
  std::map<int, models::Tokens> text_tokens = {};  ///< of the LLM, by microbatch
  std::map<StepKey, at::Tensor> activations_in =
      {};  ///< by seam: received, or handed over by a stage of this rank
  std::map<StepKey, at::Tensor> gradients_in = {};   ///< by seam
  std::map<StepKey, at::Tensor> gradients_out = {};  ///< by seam: to be sent

  bool needs_backward(int stage, int microbatch) const {
    return training && activity.backward(stage, microbatch);
  }
};

struct Dropped : std::exception {};  // autograd's engine lets no others through

/// Asks before every module.
class Watch final : public models::ModuleObserver {
 public:
  explicit Watch(std::function<bool()> drops) : drops_(std::move(drops)) {}
  void before_forward(int) override { ask(); }
  void before_backward(int) override { ask(); }

 private:
  void ask() const {
    if (drops_()) throw Dropped{};
  }
  std::function<bool()> drops_;
};

}  // namespace

struct Executor::Impl {
  const plan::Plan& plan;
  const catalog::Modalities& modalities;
  comm::CommunicatorPtr comm;
  const plan::RankPlan& me;
  ExecutorOptions options;
  std::map<int, HeldStage> held;
  Mailbox mailbox;
  Recorder recorder{options.stage.device};
  comm::GroupPtr peers;  ///< that compute with this rank, where it may drop a step
  std::optional<Watch> watch;

  Impl(const plan::Plan& p, const catalog::Modalities& m, comm::CommunicatorPtr c, ExecutorOptions o)
      : plan(p),
        modalities(m),
        comm(std::move(c)),
        me(plan.ranks[static_cast<std::size_t>(comm->rank())]),
        options(std::move(o)),
        mailbox(plan, modalities, comm->rank(), comm,
                at::TensorOptions(options.stage.device).dtype(options.stage.dtype)) {
    const Groups groups = make_groups(plan, *comm);
    for (const plan::Part& part : me.parts)
      held.emplace(part.stage, hold_stage(plan, modalities, groups, part, options));
    if (options.drops) prepare_to_drop(groups);
  }

  /// Only a rank whose modules talk to no other may leave one out without a word.
  void prepare_to_drop(const Groups& groups) {
    peers = groups.at({plan::Purpose::peers, me.parts.front().stage});
    const bool alone = peers->size() == 1 && !options.shard_values && options.stage.device.is_cpu();
    if (!alone) return;
    watch.emplace(options.drops);
    for (auto& [_, h] : held) h.module.observe(&*watch);
  }

  const plan::StagePlan& stage_plan(int stage) const { return plan.stages[static_cast<std::size_t>(stage)]; }
  const catalog::Modality& modality(int stage) const {
    return modalities[static_cast<std::size_t>(stage_plan(stage).modality)];
  }
  const plan::Seam& seam(int index) const { return plan.seams[static_cast<std::size_t>(index)]; }
  bool is_last_of_llm(int stage) const { return stage + 1 == static_cast<int>(plan.stages.size()); }
  bool is_first(int stage) const { return stage_plan(stage).stage_in_modality == 0; }
  bool is_last(int stage) const {
    return stage_plan(stage).stage_in_modality + 1 == plan.modality_of(stage).num_stages;
  }

  /// Only training is measured: its steps are alike.
  template <typename Work>
  void timed(const Pass& pass, const plan::Instruction& i, Work&& work) {
    if (pass.training) {
      recorder.measure(describe(plan, i), activity_of(i.op), std::forward<Work>(work));
    } else {
      work();
    }
  }

  StepSums run(const std::vector<plan::Instruction>& program, Pass pass) {
    pass.loss = at::zeros({}, at::TensorOptions(options.stage.device).dtype(at::kDouble));
    mailbox.start(program, pass.activity, pass.inputs);
    if (!pass.training)
      pass.sums.said = at::zeros({plan.num_microbatches, plan.microbatch_size}, pass.loss.options());
    for (std::size_t i = 0; i < program.size(); ++i) {
      mailbox.post_ahead(i);
      if (!pass.activity.has_work(program[i])) {
        accompany(pass, program[i]);
        continue;
      }
      timed(pass, program[i], [&] { step(pass, program[i], i); });
    }
    mailbox.finish();
    pass.sums.loss = pass.loss;
    // Every tp rank of the last stage has the same sums; one of them speaks for all.
    if (me.parts.back().tp != 0) pass.sums = nothing_of(pass);
    pass.sums.dropped = pass.dropped;
    return pass.sums;
  }

  /// The sums of a rank that another one speaks for.
  static StepSums nothing_of(const Pass& pass) {
    StepSums out{at::zeros_like(pass.loss)};
    if (!pass.training) out.said = at::zeros_like(pass.sums.said);
    return out;
  }

  /// Whether the step is being dropped, which ranks that compute together begin together.
  bool drops(Pass& pass) {
    if (pass.dropped || !options.drops) return pass.dropped;
    const bool asked = options.drops();
    if (peers->size() == 1) return pass.dropped = asked;
    const at::Tensor any =
        at::full({1}, asked ? 1 : 0, at::TensorOptions(options.stage.device).dtype(at::kInt));
    peers->all_reduce(any, comm::Reduce::max);
    return pass.dropped = any.item<int>() != 0;
  }

  void compute(Pass& pass, const plan::Instruction& i) {
    HeldStage& h = held.at(i.stage);
    if (!drops(pass)) {
      try {
        return i.op == Op::forward ? forward(pass, h, i.microbatch) : backward(pass, h, i.microbatch);
      } catch (const Dropped&) {
        pass.dropped = true;
      }
    }
    pass_through(h, i.op);
    if (i.op == Op::forward) pass.flights[{h.stage, i.microbatch}] = {};
  }

  /// Takes part in what other replicas do while this one has nothing to do.
  void accompany(const Pass& pass, const plan::Instruction& i) {
    const bool forward = i.op == Op::forward;
    if ((!forward && i.op != Op::backward) || !pass.anyone.has_work(i)) return;
    pass_through(held.at(i.stage), i.op);
  }

  /// What other replicas need of a forward or backward that this one does not compute.
  static void pass_through(const HeldStage& h, Op op) {
    if (!h.store) return;
    op == Op::forward ? h.store->begin_forward() : h.store->begin_backward();
    h.store->end_pass();
  }

  /// Waits until every value is whole.
  void settle() {
    for (auto& [_, h] : held)
      if (h.store) h.store->settle();
  }

  void step(Pass& pass, const plan::Instruction& i, std::size_t position) {
    const StepKey key{i.seam, i.microbatch};
    // Layers that are recorded, or memory that runs out, wait for the whole GPU.
    if (i.op == Op::forward || i.op == Op::backward) comm->settle();
    switch (i.op) {
      case Op::receive_forward:
        pass.activations_in[key] = mailbox.take(position);
        break;
      case Op::forward:
      case Op::backward:
        compute(pass, i);
        break;
      case Op::send_forward:
        send_forward(pass, i);
        break;
      case Op::receive_backward:
        pass.gradients_in[key] = mailbox.take(position);
        break;
      case Op::send_backward:
        mailbox.send(i, std::exchange(pass.gradients_out[key], {}));
        break;
      case Op::reduce_gradients:
        if (pass.reached[static_cast<std::size_t>(stage_plan(i.stage).modality)])
          held.at(i.stage).store->finish();
        break;
    }
  }

  /// The activations that came over a seam as a leaf of this stage's graph.
  at::Tensor arrived(Pass& pass, int seam_index, int microbatch) const {
    auto node = pass.activations_in.extract({seam_index, microbatch});
    if (node.empty()) return {};
    return node.mapped().requires_grad_(pass.training &&
                                        pass.activity.carries_grad(seam(seam_index), microbatch));
  }

  void forward(Pass& pass, HeldStage& h, int m) {
    const at::AutoGradMode grad_mode(pass.needs_backward(h.stage, m));
    if (h.store) h.store->begin_forward();
    Flight flight;
    for (const int s : h.seams_in) flight.inputs.push_back(arrived(pass, s, m));
    flight.output = catalog::is_llm(modality(h.stage)) ? forward_llm(pass, h, flight, m)
                                                       : forward_encoder(pass, h, flight, m);
    if (h.store) h.store->end_pass();
    const bool local = h.seam_out >= 0 && held.count(seam(h.seam_out).to) > 0;
    if (local) pass.activations_in[{h.seam_out, m}] = flight.output.detach();
    const bool leaves = h.seam_out >= 0 && !local;
    if (leaves || pass.needs_backward(h.stage, m)) pass.flights[{h.stage, m}] = std::move(flight);
  }

  /// Whether gradients leave under this backward.
  bool gradients_leave(const Pass& pass, const HeldStage& h, int m) const {
    return h.stage == plan.training_of(me.rank).early_stage() && pass.activity.last_backward(h.stage) == m;
  }

  /// Gradients that leave do so as hooks tell of them, which a recording does not.
  models::Launches launches(const Pass& pass, const HeldStage& h, int m) const {
    const bool told = plan.dp > 1 && pass.needs_backward(h.stage, m) && gradients_leave(pass, h, m);
    const bool replays = options.cuda_graphs && pass.training && !told;
    return replays ? models::Launches::replayed : models::Launches::one_by_one;
  }

  at::Tensor forward_encoder(const Pass& pass, HeldStage& h, Flight& flight, int m) {
    const auto e = static_cast<std::size_t>(stage_plan(h.stage).modality);
    const auto microbatch = static_cast<std::size_t>(m);
    models::Tokens tokens = tokens_of_items(h, pass.inputs.items[e][microbatch]);
    tokens.facts = facts_of(pass, h, m);
    at::Tensor out =
        h.module.forward(is_first(h.stage) ? pass.inputs.media[e][microbatch] : flight.inputs.front(), tokens,
                         launches(pass, h, m));
    if (!is_last(h.stage) || plan.llm().sp == 1) return out;
    return out.index_select(0, pass.inputs.leaving[e][microbatch]);
  }

  /// How the tokens of an encoder's items lie on its context-parallel ranks.
  const models::Tokens& tokens_of_items(HeldStage& h, const plan::ItemLayout& items) {
    if (h.item_tokens.size() > kItemTokens) h.item_tokens.clear();
    const auto [entry, is_new] = h.item_tokens.try_emplace(items.items());
    if (is_new) entry->second = models::on_device(tokens_of(h, items.token_layout()), options.stage.device);
    return entry->second;
  }

  models::Tokens tokens_of(const HeldStage& h, const plan::TokenLayout& layout) const {
    const config::SpMode mode = plan.modality_of(h.stage).mode.value_or(config::SpMode::all_to_all);
    return models::split_tokens(layout, modality(h.stage).spec, {comm, h.sp, mode});
  }

  /// Of the rows that a stage's layers take.
  nn::RowFacts facts_of(const Pass& pass, const HeldStage& h, int m) const {
    const StepInputs& inputs = pass.inputs;
    const auto microbatch = static_cast<std::size_t>(m);
    nn::RowFacts facts;
    if (catalog::is_llm(modality(h.stage)) && !inputs.counted.empty())
      facts.counted = inputs.counted[microbatch];
    if (!pass.training || inputs.names.empty()) return facts;
    const auto& names = inputs.names[static_cast<std::size_t>(stage_plan(h.stage).modality)];
    if (!names.empty()) facts.names = {names[microbatch], inputs.step};
    return facts;
  }

  /// How the text's tokens lie on the LLM's context-parallel ranks.
  const models::Tokens& tokens_of_text(Pass& pass, const HeldStage& h, int m) const {
    const auto [entry, is_new] = pass.text_tokens.try_emplace(m);
    models::Tokens& tokens = entry->second;
    if (is_new) {
      const PlacedTokens& placed = pass.inputs.placed.at(static_cast<std::size_t>(m));
      // A microbatch of which a sample was dropped has been placed anew and not been prepared.
      tokens = placed.tokens ? *placed.tokens
                             : models::on_device(tokens_of(h, placed.layout), options.stage.device);
    }
    tokens.facts = facts_of(pass, h, m);
    return tokens;
  }

  at::Tensor forward_llm(Pass& pass, HeldStage& h, Flight& flight, int m) {
    const auto microbatch = static_cast<std::size_t>(m);
    at::Tensor hidden = is_first(h.stage) ? h.module.embed(pass.inputs.text[microbatch], flight.inputs)
                                          : flight.inputs.front();
    hidden = h.module.transform(hidden, tokens_of_text(pass, h, m), launches(pass, h, m));
    if (!is_last_of_llm(h.stage)) return hidden;
    const models::Text& text = pass.inputs.text[microbatch];
    at::Tensor sum = h.module.loss(hidden, text);
    pass.loss += sum.detach().to(at::kDouble);
    pass.sums.targets += text.num_targets();
    if (!pass.training) {
      const Answers answers = grade(h.module, hidden, text, *h.sp);
      if (answers.said.defined()) pass.sums.said[m].copy_(answers.said);
      if (h.cp > 0) return sum;  // one speaks for all
      pass.sums.answers += answers.given;
      pass.sums.correct += answers.correct;
    }
    return sum;
  }

  void send_forward(Pass& pass, const plan::Instruction& i) {
    // Nothing that comes back holds a forward-only stage back: the number of its messages under way does.
    if (!stage_plan(i.stage).backward()) mailbox.throttle(static_cast<std::size_t>(options.run_ahead));
    mailbox.send(i, pass.flights.at({i.stage, i.microbatch}).output);
    if (!pass.needs_backward(i.stage, i.microbatch)) pass.flights.erase({i.stage, i.microbatch});
  }

  void backward(Pass& pass, HeldStage& h, int m) {
    if (h.store && gradients_leave(pass, h, m)) h.store->last_backward();
    if (h.store) h.store->begin_backward();
    Flight flight = pass.flights.extract({h.stage, m}).mapped();
    // An output without a graph (no target, or nothing in it that trains) has nothing to say upstream but
    // zero.
    if (is_last_of_llm(h.stage)) {
      if (flight.output.requires_grad()) flight.output.backward();
    } else {
      const at::Tensor gradient = pass.gradients_in.extract({h.seam_out, m}).mapped();
      if (flight.output.requires_grad()) flight.output.backward(gradient);
    }
    if (h.store) h.store->end_pass();
    for (std::size_t k = 0; k < h.seams_in.size(); ++k) hand_back(pass, h.seams_in[k], m, flight.inputs[k]);
  }

  void hand_back(Pass& pass, int seam_index, int m, const at::Tensor& input) const {
    if (!pass.activity.carries_grad(seam(seam_index), m)) return;
    const at::Tensor gradient = input.grad().defined() ? input.grad() : at::zeros_like(input);
    auto& box = held.count(seam(seam_index).from) > 0 ? pass.gradients_in : pass.gradients_out;
    box[{seam_index, m}] = gradient;
  }
};

Executor::Executor(const plan::Plan& plan, const catalog::Modalities& modalities, comm::CommunicatorPtr comm,
                   ExecutorOptions options)
    : impl_(std::make_unique<Impl>(plan, modalities, std::move(comm), std::move(options))) {}

Executor::~Executor() = default;

StepSums Executor::train(const plan::Activity& activity, const plan::Activity& anyone,
                         const std::vector<bool>& reached, const StepInputs& inputs) {
  impl_->recorder.start();
  for (auto& [stage, held] : impl_->held) {
    if (held.store)
      held.store->start_step(reached[static_cast<std::size_t>(impl_->stage_plan(stage).modality)]);
    if (nn::Fp8Scales* fp8 = held.module.fp8()) fp8->begin_step();
  }
  return impl_->run(impl_->plan.training_of(impl_->me.rank).instructions,
                    {activity, anyone, inputs, reached, /*training=*/true});
}

StepSums Executor::evaluate(const plan::Activity& activity, const plan::Activity& anyone,
                            const StepInputs& inputs) {
  const std::vector<bool> none(impl_->modalities.size(), false);  // to be reduced
  return impl_->run(impl_->plan.evaluation_of(impl_->me.rank).instructions, {activity, anyone, inputs, none});
}

Recorder& Executor::recorder() { return impl_->recorder; }

void Executor::prepare(PlacedTokens& placed) const {
  const HeldStage& h = impl_->held.at(impl_->me.parts.back().stage);
  if (catalog::is_llm(impl_->modality(h.stage))) placed.tokens = impl_->tokens_of(h, placed.layout);
}

std::vector<models::Parameter*> Executor::parameters() {
  impl_->settle();
  std::vector<models::Parameter*> out;
  for (auto& [_, held] : impl_->held)
    for (models::Parameter& p : held.module.parameters()) out.push_back(&p);
  return out;
}

std::vector<Segment> Executor::segments() const {
  std::vector<Segment> out;
  for (auto& [_, held] : impl_->held)
    if (held.store) out.insert(out.end(), held.store->segments().begin(), held.store->segments().end());
  return out;
}

std::vector<at::Tensor> Executor::gradients() const {
  std::vector<at::Tensor> out;
  for (auto& [_, held] : impl_->held)
    if (held.store) out.insert(out.end(), held.store->gradients().begin(), held.store->gradients().end());
  return out;
}

void Executor::publish(const std::vector<bool>& reached) {
  for (auto& [stage, held] : impl_->held)
    if (held.store && reached[static_cast<std::size_t>(impl_->stage_plan(stage).modality)])
      held.store->publish();
}

void Executor::rescale(const at::Tensor& sound) {
  for (auto& [_, held] : impl_->held)
    if (nn::Fp8Scales* fp8 = held.module.fp8()) fp8->agree(held.holders, sound);
}

nn::Fp8Scales* Executor::scales(int stage) const { return impl_->held.at(stage).module.fp8(); }

void Executor::hold(int stage, int module) {
  if (auto& store = impl_->held.at(stage).store) store->hold(module);
}

void Executor::drop(int stage, int module) {
  if (auto& store = impl_->held.at(stage).store) store->drop(module);
}

at::Tensor Executor::unrounded(int stage, const models::Parameter& parameter) const {
  const at::NoGradGuard no_grad;
  const StoreOptions& options = impl_->options.store;
  const HeldStage& h = impl_->held.at(stage);
  at::Tensor value = parameter.value.detach();
  if (!options.masters || !parameter.trains) return value;
  // What other ranks own is -0 here, which changes no sum, not even the sign of a zero.
  at::Tensor whole = at::full({value.numel()}, -0.0, value.options().dtype(at::kFloat));
  for (const Segment& s : h.store->segments())
    if (s.parameter == &parameter) whole.narrow(0, s.begin, s.master.numel()).copy_(s.master);
  for (const Stored& s : h.stored)
    if (s.parameter == &parameter && (options.sharded || impl_->options.shard_values))
      s.group->all_reduce(whole);
  return whole.view(value.sizes());
}

std::vector<models::Parameter>& Executor::stage_parameters(int stage) {
  impl_->settle();
  return impl_->held.at(stage).module.parameters();
}

}  // namespace cornstarch::pipeline
