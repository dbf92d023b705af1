#pragma once

#include <grpcpp/support/server_callback.h>

#include "lipcast/server/render_jobs.h"
#include "lipcast/server/speech_host.h"
#include "lipcast/v1/lipcast.grpc.pb.h"

namespace lipcast::server {

/// What renders of clients are made with; all of it outlives them.
struct RenderPlace {
  SpeechHost* host = nullptr;
  RenderJobs* jobs = nullptr;
  const UploadFolder* uploads = nullptr;
  uint64_t upload_bytes = uint64_t{512} << 20;
  int jpeg_quality = 75;
};

/// One call of Speech.Render: the whole sound into a file, then frames from a stream at file pace,
/// or the pieces of a movie that a job makes. Nothing waits on gRPC's threads; what touches the
/// disk runs on the host's slow ones. A client that leaves ends its render. The call ends at once
/// with `refused`, unless that is OK.
grpc::ServerBidiReactor<v1::RenderRequest, v1::RenderResponse>* AnswerRender(
    const RenderPlace& place, const Status& refused);

}  // namespace lipcast::server
