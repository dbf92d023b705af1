#pragma once

#include <cstdint>
#include <string>

#include "lipcast/base/status.h"
#include "lipcast/pipeline/session.h"

namespace lipcast::pipeline {

/// Whether audio of utterance `id` may come, where `newest` began last (0: none yet).
/// kInvalidArgument: ids only grow, from 1. kFailedPrecondition: after the stream's end, or its
/// own.
inline Status CheckUtterance(uint64_t id, uint64_t newest, bool newest_ended, bool stream_ended) {
  const auto refuse = [id](Code code, const std::string& why) {
    return Status(code, "utterance " + std::to_string(id) + ": " + why);
  };
  if (id == 0 || id < newest) {
    return refuse(Code::kInvalidArgument,
                  "want " + std::to_string(newest == 0 ? 1 : newest) + " or higher, ids only grow");
  }
  if (stream_ended) {
    return refuse(Code::kFailedPrecondition, "audio after the end of the session");
  }
  if (id == newest && newest_ended) {
    return refuse(Code::kFailedPrecondition, "audio after its end");
  }
  return {};
}

/// An event of an utterance as a whole.
inline Event UtteranceEvent(Event::Kind kind, uint64_t utterance, int64_t played_samples = 0,
                            bool interrupted = false) {
  Event event;
  event.kind = kind;
  event.utterance = utterance;
  event.played_samples = played_samples;
  event.interrupted = interrupted;
  return event;
}

}  // namespace lipcast::pipeline
