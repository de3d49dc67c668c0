#include "mailbox.h"

#include <ATen/ops/empty.h>

#include "cornstarch/base/text.h"
#include "cornstarch/pipeline/shapes.h"

namespace cornstarch::pipeline {
namespace {

/// How many instructions ahead of the running one receives are posted.
constexpr std::size_t kLookAhead = 8;

bool is_receive(plan::Op op) { return op == plan::Op::receive_forward || op == plan::Op::receive_backward; }
bool is_backward(plan::Op op) { return op == plan::Op::receive_backward || op == plan::Op::send_backward; }

int tag_of(const plan::Instruction& i) { return 2 * i.seam + (is_backward(i.op) ? 1 : 0); }

at::Tensor rows_of(const at::Tensor& tensor, const plan::Slice& slice) {
  const Range rows = share(tensor.size(0), slice.parts, slice.index);
  return tensor.narrow(0, rows.begin, rows.size());
}

}  // namespace

Mailbox::Mailbox(const plan::Plan& plan, const catalog::Modalities& modalities, int rank,
                 comm::CommunicatorPtr comm, at::TensorOptions tensors)
    : plan_(plan),
      modalities_(modalities),
      me_(plan.ranks[static_cast<std::size_t>(rank)]),
      comm_(std::move(comm)),
      tensors_(tensors) {}

const plan::ModalityPlan& Mailbox::modality_of(int stage) const {
  return plan_.modalities[static_cast<std::size_t>(plan_.stages[static_cast<std::size_t>(stage)].modality)];
}

const plan::Part& Mailbox::own_part(int stage) const {
  for (const plan::Part& part : me_.parts)
    if (part.stage == stage) return part;
  throw Failure(ExitCode::internal, cat("rank ", me_.rank, " does not hold stage ", stage));
}

std::vector<std::int64_t> Mailbox::shape_of(const plan::Seam& seam, int microbatch) const {
  const auto& from = plan_.stages[static_cast<std::size_t>(seam.from)];
  const auto& to = plan_.stages[static_cast<std::size_t>(seam.to)];
  const auto& modality = modalities_[static_cast<std::size_t>(from.modality)];
  if (catalog::is_llm(modality))
    return {plan_.microbatch_size, plan_.sequence_length, modality.spec.hidden_size};
  const std::int64_t items = activity_->items(from.modality, microbatch);
  if (from.modality != to.modality)
    return {items * modality.features_per_item, modalities_.back().spec.hidden_size};
  auto shape = item_shape_after(modality, from.modules.back());
  shape.insert(shape.begin(), items);
  return shape;
}

void Mailbox::start(const std::vector<plan::Instruction>& instructions, const plan::Activity& activity) {
  instructions_ = instructions;
  activity_ = &activity;
  posted_until_ = 0;
  posted_.clear();
}

void Mailbox::post_ahead(std::size_t position) {
  const std::size_t end = std::min(instructions_.size(), position + kLookAhead);
  for (; posted_until_ < end; ++posted_until_) {
    const plan::Instruction& instruction = instructions_[posted_until_];
    if (is_receive(instruction.op) && activity_->has_work(instruction))
      posted_[posted_until_] = post(instruction);
  }
}

Mailbox::Posted Mailbox::post(const plan::Instruction& instruction) const {
  const plan::Seam& seam = plan_.seams[static_cast<std::size_t>(instruction.seam)];
  const bool backward = is_backward(instruction.op);
  const int other = backward ? seam.to : seam.from;
  const plan::Part& own = own_part(backward ? seam.from : seam.to);
  Posted posted{at::empty(shape_of(seam, instruction.microbatch), tensors_), {}};
  for (const plan::Slice& slice : plan::sources(modality_of(own.stage).tp, own.tp, modality_of(other).tp)) {
    const at::Tensor rows = rows_of(posted.buffer, slice);
    if (rows.numel() == 0) continue;
    const int peer = plan_.rank_of(me_.dp, other, 0, slice.peer_tp);
    posted.works.push_back(comm_->receive(rows, peer, tag_of(instruction), what(instruction)));
  }
  return posted;
}

at::Tensor Mailbox::take(std::size_t position) {
  post_ahead(position + 1);
  auto node = posted_.extract(position);
  for (const comm::WorkPtr& work : node.mapped().works) work->wait();
  return node.mapped().buffer;
}

void Mailbox::send(const plan::Instruction& instruction, const at::Tensor& tensor) {
  const plan::Seam& seam = plan_.seams[static_cast<std::size_t>(instruction.seam)];
  const bool backward = is_backward(instruction.op);
  const int other = backward ? seam.from : seam.to;
  const plan::Part& own = own_part(backward ? seam.to : seam.from);
  const at::Tensor whole = tensor.detach().contiguous();
  std::vector<comm::WorkPtr> works;
  for (const plan::Slice& slice :
       plan::destinations(modality_of(own.stage).tp, own.tp, modality_of(other).tp)) {
    const at::Tensor rows = rows_of(whole, slice);
    if (rows.numel() == 0) continue;
    const int peer = plan_.rank_of(me_.dp, other, 0, slice.peer_tp);
    works.push_back(comm_->send(rows, peer, tag_of(instruction), what(instruction)));
  }
  sent_.push_back(std::move(works));
}

std::string Mailbox::what(const plan::Instruction& instruction) const {
  const plan::Seam& seam = plan_.seams[static_cast<std::size_t>(instruction.seam)];
  return cat(is_backward(instruction.op) ? "gradients" : "activations", " of microbatch ",
             instruction.microbatch, " between ", plan_.stage_name(seam.from), " and ",
             plan_.stage_name(seam.to));
}

void Mailbox::throttle(std::size_t ahead) {
  while (sent_.size() > ahead) {
    for (const comm::WorkPtr& work : sent_.front()) work->wait();
    sent_.pop_front();
  }
}

}  // namespace cornstarch::pipeline
