#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "lipcast/base/status.h"
#include "lipcast/inference/tensor.h"

namespace lipcast::inference {

/// What runs the networks, and what to do when it cannot.
enum class Provider { kCpu, kCuda };
enum class ProviderPolicy {
  kRequire,  ///< another provider is an error
  kPrefer,   ///< the CPU will do, and every report says that it did
};
std::string ProviderName(Provider provider);  ///< "cpu", "cuda"
Result<Provider> ParseProvider(const std::string& name);

struct SessionOptions {
  Provider provider = Provider::kCpu;
  ProviderPolicy policy = ProviderPolicy::kRequire;
  int device = 0;         ///< CUDA device index
  int intra_threads = 1;  ///< one calling thread a core is fastest for many frames
};

/// One loaded network: tensors in, tensors out. Knows nothing of lips.
/// Shape:  every tensor is float32 on this side, contiguous, batch first; a model with float16
///         tensors is converted at its edge.
/// Thread: Run may be called from any number of threads at once. Immutable after load.
class Session {
 public:
  virtual ~Session() = default;
  virtual const std::vector<TensorInfo>& inputs() const = 0;
  virtual const std::vector<TensorInfo>& outputs() const = 0;
  virtual Provider provider() const = 0;        ///< what it really runs on
  virtual const std::string& name() const = 0;  ///< for error texts: "generator.onnx"

  /// Runs `batch` items. inputs[k] holds batch * ItemElements(inputs()[k]) floats, outputs alike.
  /// A model with a fixed batch takes exactly that many: see RunItems.
  virtual Status Run(int64_t batch, std::span<const std::span<const float>> inputs,
                     std::span<const std::span<float>> outputs) const = 0;

  /// The first dimension of every input: -1 if it is free.
  int64_t fixed_batch() const;
};

/// Runs any number of items on any model: a fixed batch is filled, the last one padded by repeating
/// its last item; a free batch goes in runs of at most `max_batch`. Same argument shapes as Run;
/// kInvalidArgument for others, before anything runs. Allocates only to pad.
Status RunItems(const Session& session, int64_t items, int64_t max_batch,
                std::span<const std::span<const float>> inputs,
                std::span<const std::span<float>> outputs);

/// Loads models. One for the process; sessions may outlive it.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string description() const = 0;  ///< "ONNX Runtime 1.32.0"
  virtual std::vector<Provider> available_providers() const = 0;
  /// `name` is what errors call the model.
  virtual Result<std::shared_ptr<const Session>> Load(std::span<const uint8_t> model,
                                                      const std::string& name,
                                                      const SessionOptions& options) const = 0;
};

/// ONNX Runtime by dlopen, never linked: LIPCAST_ONNXRUNTIME (a file), the folder lib/ beside the
/// binary's, the build's own copy, then the system's. kUnavailable lists where it looked.
Result<std::unique_ptr<Backend>> LoadOnnxRuntime();

}  // namespace lipcast::inference
