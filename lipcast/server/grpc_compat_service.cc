#include "lipcast/server/grpc_compat_service.h"

#include <chrono>
#include <cstring>
#include <utility>
#include <vector>

#include "lipcast/server/batch_render.h"
#include "lipcast/server/grpc_answer.h"
#include "lipcast/server/refusal.h"

namespace lipcast::server {
namespace {

float Ms(Nanoseconds time) { return static_cast<float>(time.count()) / 1e6F; }
int64_t Mb(int64_t bytes) { return (bytes + (1 << 20) - 1) >> 20; }

/// A copy, aligned; kInvalidArgument where the bytes are no whole floats.
Result<std::vector<float>> FloatsOf(const std::string& bytes, const char* field) {
  if (bytes.size() % sizeof(float) != 0) {
    return Status(Code::kInvalidArgument, std::string(field) + " has " +
                                              std::to_string(bytes.size()) +
                                              " bytes: want whole float32 values");
  }
  std::vector<float> floats(bytes.size() / sizeof(float));
  if (!bytes.empty()) std::memcpy(floats.data(), bytes.data(), bytes.size());
  return floats;
}

/// What ListModels and GetModelStats both say of an avatar.
template <typename Model>
void Describe(const AvatarEntry& entry, int gpu_id, Model* model) {
  model->set_model_id(entry.name);
  model->set_loaded(entry.stats.loaded);
  model->set_gpu_id(gpu_id);
  model->set_memory_mb(Mb(entry.stats.model_bytes + entry.stats.frame_bytes));
  model->set_request_count(static_cast<int32_t>(entry.stats.sessions_opened));
  model->set_avg_inference_ms(static_cast<float>(entry.stats.mean_generate_ms()));
}

template <typename Response>
void Tell(const Status& status, Response* response) {
  response->set_success(status.ok());
  if (!status.ok()) response->set_error(status.message());
}

}  // namespace

Status GrpcCompatService::CheckGpu(int32_t preferred) const {
  // 0 is what a client sends that says nothing; on a CPU server any wish is answered with gpu_id
  // -1.
  if (preferred <= 0 || options_.gpu_id < 0 || preferred == options_.gpu_id) return {};
  return Status(Code::kInvalidArgument, "preferred_gpu = " + std::to_string(preferred) +
                                            ": this server runs on GPU " +
                                            std::to_string(options_.gpu_id));
}

Status GrpcCompatService::Infer(const monolithic::InferBatchCompositeRequest& request,
                                monolithic::InferBatchCompositeResponse* response) {
  const auto start = std::chrono::steady_clock::now();
  BatchRequest batch;
  batch.start_frame = request.start_frame_idx();
  batch.frames = request.batch_size();
  if (request.sample_rate() != 0) batch.rate_hz = request.sample_rate();
  batch.jpeg_quality = options_.jpeg_quality;
  batch.raw = options_.raw;
  LC_ASSIGN_OR_RETURN(const auto audio, FloatsOf(request.raw_audio(), "raw_audio"));
  LC_ASSIGN_OR_RETURN(const auto context, FloatsOf(request.audio_features(), "audio_features"));
  LC_ASSIGN_OR_RETURN(const auto pictures, FloatsOf(request.visual_frames(), "visual_frames"));
  batch.audio = audio;
  batch.context = context;
  batch.pictures = pictures;
  LC_ASSIGN_OR_RETURN(auto lease, host_.parts().avatars->Acquire(request.model_id()));
  response->set_model_loaded(!lease.was_loaded());
  if (!lease.was_loaded()) {
    response->set_model_load_time_ms(Ms(std::chrono::steady_clock::now() - start));
  }
  LC_ASSIGN_OR_RETURN(BatchResult result,
                      RenderBatch(*host_.parts().engine, *lease.avatar(), batch));
  for (std::string& frame : result.frames) {
    response->add_composited_frames(std::move(frame));
  }
  // The stages of a batch overlap on the workers: their wall time is split by their work.
  const auto work = static_cast<float>((result.generate + result.compose).count());
  const float generated = work > 0 ? static_cast<float>(result.generate.count()) / work : 0.0F;
  response->set_audio_processing_ms(Ms(result.audio));
  response->set_inference_time_ms(Ms(result.draw) * generated);
  response->set_composite_time_ms(Ms(result.draw) * (1 - generated));
  response->set_total_time_ms(Ms(std::chrono::steady_clock::now() - start));
  SessionUse use;
  use.frames = use.generated_frames = batch.frames;
  use.generate_time = result.generate;
  lease.Report(use);
  return {};
}

grpc::ServerUnaryReactor* GrpcCompatService::InferBatchComposite(
    grpc::CallbackServerContext* context, const monolithic::InferBatchCompositeRequest* request,
    monolithic::InferBatchCompositeResponse* response) {
  response->set_gpu_id(options_.gpu_id);
  if (waiting_.fetch_add(1) >= options_.queued) {
    --waiting_;
    Tell(refusal::Exhausted(refusal::kQueue, "too many requests wait; try again later"), response);
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
  return AnswerOn(host_.opening(request->model_id()), context, [this, context, request, response] {
    const Status status = context->IsCancelled() ? Status(Code::kCancelled, "the client left")
                                                 : Infer(*request, response);
    --waiting_;
    if (!status.ok()) response->clear_composited_frames();
    Tell(status, response);
    return Status();
  });
}

grpc::ServerUnaryReactor* GrpcCompatService::ListModels(grpc::CallbackServerContext* context,
                                                        const monolithic::ListModelsRequest*,
                                                        monolithic::ListModelsResponse* response) {
  return AnswerOn(host_.slow(), context, [this, response] {
    for (const AvatarEntry& entry : host_.parts().avatars->List()) {
      Describe(entry, options_.gpu_id, response->add_models());
    }
    return Status();
  });
}

grpc::ServerUnaryReactor* GrpcCompatService::LoadModel(grpc::CallbackServerContext* context,
                                                       const monolithic::LoadModelRequest* request,
                                                       monolithic::LoadModelResponse* response) {
  return AnswerOn(host_.opening(request->model_id()), context, [this, request, response] {
    const auto start = std::chrono::steady_clock::now();
    Status status = CheckGpu(request->preferred_gpu());
    if (status.ok()) status = host_.parts().avatars->Load(request->model_id()).status();
    Tell(status, response);
    response->set_gpu_id(options_.gpu_id);
    response->set_load_time_ms(Ms(std::chrono::steady_clock::now() - start));
    return Status();
  });
}

grpc::ServerUnaryReactor* GrpcCompatService::UnloadModel(
    grpc::CallbackServerContext* context, const monolithic::UnloadModelRequest* request,
    monolithic::UnloadModelResponse* response) {
  return AnswerOn(host_.slow(), context, [this, request, response] {
    Tell(host_.parts().avatars->Unload(request->model_id()), response);
    return Status();
  });
}

grpc::ServerUnaryReactor* GrpcCompatService::GetModelStats(
    grpc::CallbackServerContext* context, const monolithic::GetModelStatsRequest*,
    monolithic::GetModelStatsResponse* response) {
  return AnswerOn(host_.slow(), context, [this, response] {
    for (const AvatarEntry& entry : host_.parts().avatars->List()) {
      monolithic::ModelStats& model = *response->add_models();
      Describe(entry, options_.gpu_id, &model);
      model.set_total_inference_ms(entry.stats.generate_time.count() / 1'000'000);
      model.set_last_used_timestamp(entry.stats.last_used_unix_s);
    }
    return Status();
  });
}

grpc::ServerUnaryReactor* GrpcCompatService::Health(grpc::CallbackServerContext* context,
                                                    const monolithic::HealthRequest*,
                                                    monolithic::HealthResponse* response) {
  response->set_healthy(!host_.parts().admission->draining());
  response->set_loaded_models(host_.parts().avatars->loaded());
  response->set_max_models(options_.max_models);
  if (options_.gpu_id >= 0) response->add_gpu_ids(options_.gpu_id);
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

}  // namespace lipcast::server
