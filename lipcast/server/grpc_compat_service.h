#pragma once

#include <grpcpp/support/server_callback.h>

#include <atomic>

#include "lipcast/server/speech_host.h"
#include "monolithic/monolithic.grpc.pb.h"

namespace lipcast::server {

struct CompatOptions {
  int jpeg_quality = 75;
  bool raw = false;  ///< frames as BGR instead of JPEG
  int max_models = 16;
  int queued = 100;  ///< requests that may wait for their turn
  int gpu_id = -1;   ///< the device that runs the networks; -1: the CPU
};

/// monolithic.MonolithicService for clients of the Go server: a failure is an OK answer with
/// success = false and its reason. Work runs on the host's slow threads and the engine's workers.
class GrpcCompatService final : public monolithic::MonolithicService::CallbackService {
 public:
  GrpcCompatService(SpeechHost& host, const CompatOptions& options)
      : host_(host), options_(options) {}

  grpc::ServerUnaryReactor* InferBatchComposite(
      grpc::CallbackServerContext* context, const monolithic::InferBatchCompositeRequest* request,
      monolithic::InferBatchCompositeResponse* response) override;
  grpc::ServerUnaryReactor* ListModels(grpc::CallbackServerContext* context,
                                       const monolithic::ListModelsRequest* request,
                                       monolithic::ListModelsResponse* response) override;
  grpc::ServerUnaryReactor* LoadModel(grpc::CallbackServerContext* context,
                                      const monolithic::LoadModelRequest* request,
                                      monolithic::LoadModelResponse* response) override;
  grpc::ServerUnaryReactor* UnloadModel(grpc::CallbackServerContext* context,
                                        const monolithic::UnloadModelRequest* request,
                                        monolithic::UnloadModelResponse* response) override;
  grpc::ServerUnaryReactor* GetModelStats(grpc::CallbackServerContext* context,
                                          const monolithic::GetModelStatsRequest* request,
                                          monolithic::GetModelStatsResponse* response) override;
  grpc::ServerUnaryReactor* Health(grpc::CallbackServerContext* context,
                                   const monolithic::HealthRequest* request,
                                   monolithic::HealthResponse* response) override;

 private:
  Status Infer(const monolithic::InferBatchCompositeRequest& request,
               monolithic::InferBatchCompositeResponse* response);
  Status CheckGpu(int32_t preferred) const;

  SpeechHost& host_;
  const CompatOptions options_;
  std::atomic<int> waiting_ = 0;
};

}  // namespace lipcast::server
