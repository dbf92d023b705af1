#include "lipcast/inference/fake_backend.h"

namespace lipcast::inference {

void Gate::Close() {
  std::lock_guard lock(mu_);
  open_ = false;
}

void Gate::Open() {
  std::lock_guard lock(mu_);
  open_ = true;
  changed_.notify_all();
}

void Gate::Pass() {
  std::unique_lock lock(mu_);
  ++waiting_;
  changed_.notify_all();
  changed_.wait(lock, [&] { return open_; });
  --waiting_;
}

void Gate::AwaitWaiting(int n) {
  std::unique_lock lock(mu_);
  changed_.wait(lock, [&] { return !open_ && waiting_ >= n; });
}

FakeModel Gated(FakeModel model, std::shared_ptr<Gate> gate) {
  model.run = [gate = std::move(gate), run = std::move(model.run)](
                  int64_t batch, std::span<const std::span<const float>> inputs,
                  std::span<const std::span<float>> outputs) {
    gate->Pass();
    return run(batch, inputs, outputs);
  };
  return model;
}

namespace {

/// True if `values` holds `batch` items of every tensor.
template <typename Values>
bool Fit(const std::vector<TensorInfo>& infos, int64_t batch, const Values& values) {
  if (infos.size() != values.size()) return false;
  for (size_t k = 0; k < infos.size(); ++k) {
    if (infos[k].dims[0] >= 0 && infos[k].dims[0] != batch) return false;
    if (static_cast<int64_t>(values[k].size()) != batch * ItemElements(infos[k])) return false;
  }
  return true;
}

}  // namespace

FakeSession::FakeSession(FakeModel model, std::string name, Provider provider)
    : model_(std::move(model)), name_(std::move(name)), provider_(provider) {}

Status FakeSession::Run(int64_t batch, std::span<const std::span<const float>> inputs,
                        std::span<const std::span<float>> outputs) const {
  if (!Fit(model_.inputs, batch, inputs) || !Fit(model_.outputs, batch, outputs)) {
    return Status(Code::kInvalidArgument, name_ + ": a batch of " + std::to_string(batch) +
                                              " does not fit the declared tensors");
  }
  ++model_.counts->runs;
  model_.counts->items += batch;
  const Status status = model_.run(batch, inputs, outputs);
  return status.ok() ? status : Status(status.code(), name_ + ": " + status.message());
}

Result<std::shared_ptr<const Session>> FakeBackend::Load(std::span<const uint8_t>,
                                                         const std::string& name,
                                                         const SessionOptions& options) const {
  const auto found = models.find(name);
  if (found == models.end()) {
    return Status(Code::kInvalidArgument, name + ": not a model this fake keeps");
  }
  return std::shared_ptr<const Session>(
      std::make_shared<FakeSession>(found->second, name, options.provider));
}

}  // namespace lipcast::inference
