// The one place where ONNX Runtime is called, and where its exceptions end.

#include <dlfcn.h>

#include <array>
#include <cstdlib>
#include <mutex>

#define ORT_API_MANUAL_INIT
#include <onnxruntime_cxx_api.h>

#include "lipcast/inference/session.h"

namespace lipcast::inference {
namespace {

/// Without the "file.cc:12 type Function(arguments) " that many of ONNX Runtime's errors begin
/// with.
std::string_view WithoutSource(std::string_view text) {
  const size_t source = std::min(text.find(".cc:"), text.find(".h:"));
  const size_t open = text.find('(');
  if (source == text.npos || text.substr(0, source).find(' ') != text.npos || open == text.npos) {
    return text;
  }
  int depth = 0;
  for (size_t i = open; i < text.size(); ++i) {
    if (text[i] == '(') ++depth;
    if (text[i] == ')' && --depth == 0) return text.substr(std::min(i + 2, text.size()));
  }
  return text;
}

/// ONNX Runtime's errors span lines and quote C++ at length; the user gets the first 300
/// characters of what they say.
std::string OneLine(std::string_view text) {
  text = WithoutSource(text);
  std::string line;
  for (const char c : text) {
    if (line.size() >= 300) return line + "...";
    const bool space = c == '\n' || c == '\r' || c == '\t' || c == ' ';
    if (!space) {
      line.push_back(c);
    } else if (!line.empty() && line.back() != ' ') {
      line.push_back(' ');
    }
  }
  return line;
}

ElementType ToElementType(ONNXTensorElementDataType type) {
  if (type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT) return ElementType::kFloat32;
  if (type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16) return ElementType::kFloat16;
  return ElementType::kOther;
}

std::vector<TensorInfo> ReadInfos(const Ort::Session& session, bool inputs) {
  Ort::AllocatorWithDefaultOptions allocator;
  std::vector<TensorInfo> infos;
  const size_t count = inputs ? session.GetInputCount() : session.GetOutputCount();
  for (size_t i = 0; i < count; ++i) {
    TensorInfo info;
    info.name = (inputs ? session.GetInputNameAllocated(i, allocator)
                        : session.GetOutputNameAllocated(i, allocator))
                    .get();
    const Ort::TypeInfo type = inputs ? session.GetInputTypeInfo(i) : session.GetOutputTypeInfo(i);
    if (type.GetONNXType() == ONNX_TYPE_TENSOR) {
      const auto tensor = type.GetTensorTypeAndShapeInfo();
      info.type = ToElementType(tensor.GetElementType());
      info.dims = tensor.GetShape();
    } else {
      info.type = ElementType::kOther;
    }
    infos.push_back(std::move(info));
  }
  return infos;
}

class OrtSession final : public Session {
 public:
  OrtSession(std::shared_ptr<const Ort::Env> env, Ort::Session session, std::string name,
             Provider provider)
      : env_(std::move(env)),
        session_(std::move(session)),
        name_(std::move(name)),
        provider_(provider),
        memory_(Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault)),
        inputs_(ReadInfos(session_, true)),
        outputs_(ReadInfos(session_, false)) {
    for (const TensorInfo& info : inputs_) input_names_.push_back(info.name.c_str());
    for (const TensorInfo& info : outputs_) output_names_.push_back(info.name.c_str());
  }

  const std::vector<TensorInfo>& inputs() const override { return inputs_; }
  const std::vector<TensorInfo>& outputs() const override { return outputs_; }
  Provider provider() const override { return provider_; }
  const std::string& name() const override { return name_; }

  Status Run(int64_t batch, std::span<const std::span<const float>> inputs,
             std::span<const std::span<float>> outputs) const override {
    if (inputs.size() != inputs_.size() || outputs.size() != outputs_.size()) {
      return Status(Code::kInvalidArgument,
                    name_ + ": " + std::to_string(inputs.size()) + " inputs and " +
                        std::to_string(outputs.size()) + " outputs given, the model has " +
                        std::to_string(inputs_.size()) + " and " + std::to_string(outputs_.size()));
    }
    try {
      return RunThrowing(batch, inputs, outputs);
    } catch (const std::exception& error) {
      return Status(Code::kInternal, name_ + ": inference failed: " + OneLine(error.what()));
    }
  }

 private:
  using Half = Ort::Float16_t;

  Status CheckSize(const TensorInfo& info, int64_t batch, size_t floats) const {
    const int64_t item = ItemElements(info);
    const bool batch_fits = info.dims.empty() || info.dims[0] < 0 || info.dims[0] == batch;
    if (item > 0 && batch_fits && static_cast<int64_t>(floats) == batch * item) return {};
    return Status(Code::kInvalidArgument, name_ + ": " + info.ToString() +
                                              " cannot take a batch of " + std::to_string(batch) +
                                              " with " + std::to_string(floats) + " values");
  }

  Ort::Value Wrap(const TensorInfo& info, int64_t batch, float* data, size_t floats,
                  std::vector<Half>* half) const {
    std::array<int64_t, 8> dims{};
    std::copy(info.dims.begin(), info.dims.end(), dims.begin());
    dims[0] = batch;
    if (info.type == ElementType::kFloat16) {
      half->resize(floats);
      return Ort::Value::CreateTensor<Half>(memory_, half->data(), floats, dims.data(),
                                            info.dims.size());
    }
    return Ort::Value::CreateTensor<float>(memory_, data, floats, dims.data(), info.dims.size());
  }

  Status RunThrowing(int64_t batch, std::span<const std::span<const float>> inputs,
                     std::span<const std::span<float>> outputs) const {
    std::vector<std::vector<Half>> half_in(inputs.size()), half_out(outputs.size());
    std::vector<Ort::Value> in, out;
    in.reserve(inputs.size());
    out.reserve(outputs.size());
    for (size_t k = 0; k < inputs.size(); ++k) {
      LC_RETURN_IF_ERROR(CheckSize(inputs_[k], batch, inputs[k].size()));
      // ONNX Runtime's C++ API takes no const data, but does not write to inputs.
      in.push_back(Wrap(inputs_[k], batch, const_cast<float*>(inputs[k].data()), inputs[k].size(),
                        &half_in[k]));
      for (size_t i = 0; i < half_in[k].size(); ++i) half_in[k][i] = Half(inputs[k][i]);
    }
    for (size_t k = 0; k < outputs.size(); ++k) {
      LC_RETURN_IF_ERROR(CheckSize(outputs_[k], batch, outputs[k].size()));
      out.push_back(Wrap(outputs_[k], batch, outputs[k].data(), outputs[k].size(), &half_out[k]));
    }
    const_cast<Ort::Session&>(session_).Run(Ort::RunOptions{nullptr}, input_names_.data(),
                                            in.data(), in.size(), output_names_.data(), out.data(),
                                            out.size());
    for (size_t k = 0; k < outputs.size(); ++k) {
      for (size_t i = 0; i < half_out[k].size(); ++i) outputs[k][i] = half_out[k][i].ToFloat();
    }
    return {};
  }

  std::shared_ptr<const Ort::Env> env_;  // must outlive session_
  Ort::Session session_;
  std::string name_;
  Provider provider_;
  Ort::MemoryInfo memory_;
  std::vector<TensorInfo> inputs_, outputs_;
  std::vector<const char*> input_names_, output_names_;
};

class OrtBackend final : public Backend {
 public:
  explicit OrtBackend(std::string version)
      : version_(std::move(version)),
        env_(std::make_shared<Ort::Env>(ORT_LOGGING_LEVEL_FATAL, "lipcast")) {
    for (const std::string& name : Ort::GetAvailableProviders()) {
      if (name == "CUDAExecutionProvider") providers_.push_back(Provider::kCuda);
    }
    providers_.push_back(Provider::kCpu);
  }

  std::string description() const override { return "ONNX Runtime " + version_; }
  std::vector<Provider> available_providers() const override { return providers_; }

  Result<std::shared_ptr<const Session>> Load(std::span<const uint8_t> model,
                                              const std::string& name,
                                              const SessionOptions& options) const override {
    if (model.empty()) {
      return Status(Code::kInvalidArgument, name + ": the file is empty, want an ONNX model");
    }
    if (options.provider == Provider::kCpu) return LoadOn(model, name, options, Provider::kCpu);
    auto wanted = LoadOn(model, name, options, options.provider);
    if (wanted.ok()) return wanted;
    const std::string why = wanted.status().message();
    if (options.policy == ProviderPolicy::kRequire) {
      return Status(Code::kUnavailable, "provider " + ProviderName(options.provider) +
                                            " is required and cannot be used: " + why);
    }
    return LoadOn(model, name, options, Provider::kCpu);
  }

 private:
  Result<std::shared_ptr<const Session>> LoadOn(std::span<const uint8_t> model,
                                                const std::string& name,
                                                const SessionOptions& options,
                                                Provider provider) const {
    try {
      Ort::SessionOptions native;
      native.SetIntraOpNumThreads(options.intra_threads);
      native.SetInterOpNumThreads(1);
      native.SetGraphOptimizationLevel(GraphOptimizationLevel::ORT_ENABLE_ALL);
      native.AddConfigEntry("session.set_denormal_as_zero", "1");
      native.AddConfigEntry("session.intra_op.allow_spinning", "0");
      if (provider == Provider::kCuda) LC_RETURN_IF_ERROR(AppendCuda(options.device, &native));
      Ort::Session session(*env_, model.data(), model.size(), native);
      auto loaded = std::make_shared<OrtSession>(env_, std::move(session), name, provider);
      for (const auto* infos : {&loaded->inputs(), &loaded->outputs()}) {
        for (const TensorInfo& info : *infos) {
          if (info.type == ElementType::kOther || info.dims.empty() || info.dims.size() > 8) {
            return Status(Code::kInvalidArgument,
                          name + ": " + info.ToString() + ": want a float tensor with a batch");
          }
        }
      }
      return std::shared_ptr<const Session>(std::move(loaded));
    } catch (const std::exception& error) {
      return Status(Code::kInvalidArgument, name + ": not a model ONNX Runtime " + version_ +
                                                " can load: " + OneLine(error.what()));
    }
  }

  Status AppendCuda(int device, Ort::SessionOptions* native) const {
    try {
      OrtCUDAProviderOptions cuda{};
      cuda.device_id = device;
      native->AppendExecutionProvider_CUDA(cuda);
      return {};
    } catch (const std::exception& error) {
      return Status(Code::kUnavailable, "ONNX Runtime " + version_ + ": " + OneLine(error.what()));
    }
  }

  std::string version_;
  std::shared_ptr<const Ort::Env> env_;
  std::vector<Provider> providers_;
};

std::vector<std::string> LibraryCandidates() {
  std::vector<std::string> candidates;
  if (const char* path = std::getenv("LIPCAST_ONNXRUNTIME"); path != nullptr && *path != '\0') {
    return {path};  // what the user names is what is used, or an error
  }
  std::error_code error;
  const auto binary = std::filesystem::read_symlink("/proc/self/exe", error);
  if (!error) {
    candidates.push_back((binary.parent_path().parent_path() / "lib/libonnxruntime.so").string());
  }
  candidates.emplace_back(LIPCAST_ORT_BUILD_LIBRARY);
  candidates.emplace_back("libonnxruntime.so.1");
  candidates.emplace_back("libonnxruntime.so");
  return candidates;
}

/// Its makers' own builds since 1.29 tell them over the network what is run, and keep an id of the
/// machine below ~/.cache, unless this is set before they are opened.
void TellNobody() { setenv("ORT_DISABLE_TELEMETRY", "1", 0); }

}  // namespace

Result<std::unique_ptr<Backend>> LoadOnnxRuntime() {
  TellNobody();
  std::string tried, found;
  void* library = nullptr;
  for (const std::string& candidate : LibraryCandidates()) {
    library = dlopen(candidate.c_str(), RTLD_NOW | RTLD_LOCAL);
    found = candidate;
    if (library != nullptr) break;
    const char* why = dlerror();  // begins with the path
    tried += "; " + (why != nullptr ? std::string(why) : candidate);
  }
  if (library == nullptr) {
    return Status(Code::kUnavailable,
                  "ONNX Runtime not found" + tried +
                      "; run tools/setup, or set LIPCAST_ONNXRUNTIME to the library's path");
  }
  using GetApiBase = const OrtApiBase* (*)();
  const auto get_base = reinterpret_cast<GetApiBase>(dlsym(library, "OrtGetApiBase"));
  if (get_base == nullptr) {
    return Status(Code::kUnavailable, found + ": no OrtGetApiBase in it, want ONNX Runtime");
  }
  const OrtApiBase* base = get_base();
  const std::string version = base->GetVersionString();
  const OrtApi* api = base->GetApi(ORT_API_VERSION);
  if (api == nullptr) {
    return Status(Code::kUnavailable, "ONNX Runtime " + version + " is too old: want API " +
                                          std::to_string(ORT_API_VERSION) + " or newer");
  }
  Ort::InitApi(api);  // the same table every time; the library is never closed
  try {
    return std::unique_ptr<Backend>(std::make_unique<OrtBackend>(version));
  } catch (const std::exception& error) {
    return Status(Code::kUnavailable, "ONNX Runtime " + version + ": " + OneLine(error.what()));
  }
}

}  // namespace lipcast::inference
