#include "mailbox.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include "cornstarch/base/text.h"
#include "describe.h"

namespace cornstarch::pipeline {
namespace {

/// How many instructions ahead of the running one receives are posted.
constexpr std::size_t kLookAhead = 8;

bool is_receive(plan::Op op) { return op == plan::Op::receive_forward || op == plan::Op::receive_backward; }
bool is_backward(plan::Op op) { return op == plan::Op::receive_backward || op == plan::Op::send_backward; }

comm::Lane lane_of(const plan::Instruction& i) { return comm::lane_of_seam(i.seam, is_backward(i.op)); }

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

const plan::Part& Mailbox::own_part(int stage) const {
  for (const plan::Part& part : me_.parts)
    if (part.stage == stage) return part;
  throw Failure(ExitCode::internal, cat("rank ", me_.rank, " does not hold stage ", stage));
}

const plan::Part& Mailbox::own_end(const plan::Instruction& instruction) const {
  const plan::Seam& seam = plan_.seams[static_cast<std::size_t>(instruction.seam)];
  return own_part(is_receive(instruction.op) != is_backward(instruction.op) ? seam.to : seam.from);
}

const plan::FeatureRoute& Mailbox::route_of(const plan::Seam& seam, int microbatch) const {
  const auto encoder = static_cast<std::size_t>(plan_.stages[static_cast<std::size_t>(seam.from)].modality);
  return inputs_->routes.at(encoder).at(static_cast<std::size_t>(microbatch));
}

std::vector<std::int64_t> Mailbox::shape_of(const plan::Seam& seam, int microbatch,
                                            const plan::Part& own) const {
  const auto& from = plan_.stages[static_cast<std::size_t>(seam.from)];
  const auto& to = plan_.stages[static_cast<std::size_t>(seam.to)];
  const auto& modality = modalities_[static_cast<std::size_t>(from.modality)];
  const auto hidden = modalities_.back().spec.hidden_size;
  if (catalog::is_llm(modality)) {
    const plan::TokenLayout& layout = inputs_->placed.at(static_cast<std::size_t>(microbatch)).layout;
    const std::int64_t rows = layout.is_plain() ? std::ssize(layout.rows()) : 1;
    return {rows, layout.count(own.cp) / rows, hidden};
  }
  if (from.modality != to.modality) {
    const plan::FeatureRoute& route = route_of(seam, microbatch);
    return {own.stage == seam.from ? route.leaving_rows(own.cp) : route.arriving_rows(own.cp), hidden};
  }
  const auto& items = inputs_->items.at(static_cast<std::size_t>(from.modality));
  return items.at(static_cast<std::size_t>(microbatch)).shape(from.modules.back(), own.cp);
}

std::vector<Mailbox::Stretch> Mailbox::stretches(const plan::Seam& seam, int microbatch,
                                                 const plan::Part& own, std::int64_t rows) const {
  if (&plan_.modality_of(seam.from) == &plan_.modality_of(seam.to)) return {{own.cp, {0, rows}}};
  const auto& counts = route_of(seam, microbatch).counts;
  const bool encoder = own.stage == seam.from;
  std::vector<Stretch> out;
  std::int64_t first = 0;
  const int others = plan_.modality_of(encoder ? seam.to : seam.from).sp;
  for (int c = 0; c < others; ++c) {
    const std::int64_t n = encoder ? counts[static_cast<std::size_t>(own.cp)][static_cast<std::size_t>(c)]
                                   : counts[static_cast<std::size_t>(c)][static_cast<std::size_t>(own.cp)];
    out.push_back({c, {first, first + n}});
    first += n;
  }
  return out;
}

std::vector<Mailbox::Message> Mailbox::messages(const plan::Instruction& instruction, const plan::Part& own,
                                                const at::Tensor& tensor) const {
  const plan::Seam& seam = plan_.seams[static_cast<std::size_t>(instruction.seam)];
  const int other = own.stage == seam.from ? seam.to : seam.from;
  const int own_tp = plan_.modality_of(own.stage).tp, other_tp = plan_.modality_of(other).tp;
  const auto slices = is_receive(instruction.op) ? plan::sources(own_tp, own.tp, other_tp)
                                                 : plan::destinations(own_tp, own.tp, other_tp);
  std::vector<Message> out;
  for (const Stretch& stretch : stretches(seam, instruction.microbatch, own, tensor.size(0)))
    for (const plan::Slice& slice : slices) {
      const at::Tensor rows = rows_of(tensor.narrow(0, stretch.rows.begin, stretch.rows.size()), slice);
      if (rows.numel() > 0) out.push_back({plan_.rank_of(me_.dp, other, stretch.cp, slice.peer_tp), rows});
    }
  return out;
}

void Mailbox::start(const std::vector<plan::Instruction>& instructions, const plan::Activity& activity,
                    const StepInputs& inputs) {
  instructions_ = instructions;
  activity_ = &activity;
  inputs_ = &inputs;
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
  const plan::Part& own = own_end(instruction);
  Posted posted{at::empty(shape_of(seam, instruction.microbatch, own), tensors_), {}};
  for (const Message& m : messages(instruction, own, posted.buffer))
    posted.works.push_back(
        comm_->receive(m.rows, m.peer, lane_of(instruction), describe_message(plan_, instruction)));
  return posted;
}

at::Tensor Mailbox::take(std::size_t position) {
  post_ahead(position + 1);
  auto node = posted_.extract(position);
  for (const comm::WorkPtr& work : node.mapped().works) work->wait();
  return node.mapped().buffer;
}

void Mailbox::send(const plan::Instruction& instruction, const at::Tensor& given) {
  const plan::Part& own = own_end(instruction);
  const plan::Seam& seam = plan_.seams[static_cast<std::size_t>(instruction.seam)];
  const at::Tensor tensor = given.defined()
                                ? given.detach().contiguous()
                                : at::zeros(shape_of(seam, instruction.microbatch, own), tensors_);
  std::vector<comm::WorkPtr> works;
  for (const Message& m : messages(instruction, own, tensor))
    works.push_back(comm_->send(m.rows, m.peer, lane_of(instruction), describe_message(plan_, instruction)));
  sent_.push_back(std::move(works));
}

void Mailbox::throttle(std::size_t ahead) {
  while (sent_.size() > ahead) {
    for (const comm::WorkPtr& work : sent_.front()) work->wait();
    sent_.pop_front();
  }
}

}  // namespace cornstarch::pipeline
