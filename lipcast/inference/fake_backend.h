#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "lipcast/inference/session.h"

namespace lipcast::inference {

/// What a fake network computes; the arguments are those of Session::Run, their sizes checked.
using FakeRun = std::function<Status(int64_t batch, std::span<const std::span<const float>> inputs,
                                     std::span<const std::span<float>> outputs)>;

struct FakeCounts {
  std::atomic<int64_t> runs = 0, items = 0;
};

/// A network for tests, made of its declared tensors and a function. Copies share `counts`.
/// Thread: `run` is called from any number of threads at once.
struct FakeModel {
  std::vector<TensorInfo> inputs, outputs;
  FakeRun run;
  std::shared_ptr<FakeCounts> counts = std::make_shared<FakeCounts>();
};

/// A door in the middle of a run: closed, callers wait at it. Starts open, so that the run that
/// warms a network up passes. Thread: any.
class Gate {
 public:
  void Close();
  void Open();
  void Pass();               ///< waits while closed
  void AwaitWaiting(int n);  ///< returns once `n` callers wait at the closed door

 private:
  std::mutex mu_;
  std::condition_variable changed_;
  bool open_ = true;  // guarded by mu_
  int waiting_ = 0;   // guarded by mu_
};

/// The same model, its runs going through `gate` first.
FakeModel Gated(FakeModel model, std::shared_ptr<Gate> gate);

class FakeSession final : public Session {
 public:
  FakeSession(FakeModel model, std::string name, Provider provider = Provider::kCpu);
  const std::vector<TensorInfo>& inputs() const override { return model_.inputs; }
  const std::vector<TensorInfo>& outputs() const override { return model_.outputs; }
  Provider provider() const override { return provider_; }
  const std::string& name() const override { return name_; }
  /// kInvalidArgument on a batch or a size that the declared tensors do not have. Errors, those of
  /// the function too, begin with the name, as a real network's do.
  Status Run(int64_t batch, std::span<const std::span<const float>> inputs,
             std::span<const std::span<float>> outputs) const override;

 private:
  const FakeModel model_;
  const std::string name_;
  const Provider provider_;
};

/// Answers Load(bytes, name) with the model kept under `name`, whatever the bytes are, on the
/// provider asked for. kInvalidArgument for a name it does not keep.
class FakeBackend final : public Backend {
 public:
  std::map<std::string, FakeModel> models;  ///< filled before the first Load

  std::string description() const override { return "fake"; }
  std::vector<Provider> available_providers() const override {
    return {Provider::kCpu, Provider::kCuda};
  }
  Result<std::shared_ptr<const Session>> Load(std::span<const uint8_t> model,
                                              const std::string& name,
                                              const SessionOptions& options) const override;
};

}  // namespace lipcast::inference
