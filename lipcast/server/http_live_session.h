#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "lipcast/audio/audio_reader.h"
#include "lipcast/server/http_live_output.h"
#include "lipcast/server/http_router.h"
#include "lipcast/server/speech_host.h"

namespace lipcast::server {

class HttpLiveSessions;

/// A live session over plain HTTP requests: some bring sound, one at a time reads the output.
/// Frames that come while nobody reads are dropped; after kUnreadTime of them the session ends.
/// Thread: any. What it does runs on a strand of the engine's workers.
class HttpLiveSession final : public StreamListener,
                              public std::enable_shared_from_this<HttpLiveSession> {
 public:
  static constexpr auto kUnreadTime = std::chrono::seconds(10);

  HttpLiveSession(SpeechHost& host, std::shared_ptr<SpeechStream> stream, LiveOutputKind kind,
                  std::weak_ptr<HttpLiveSessions> sessions);
  void Start();

  /// Becomes the reader of the output: answered, or begun.
  void Read(std::shared_ptr<HttpReply> reply);
  /// `sound` to its end into the utterance under way, then answers. As slow as it is played, once
  /// the session has as much as it holds.
  void Hear(std::unique_ptr<audio::AudioReader> sound, std::shared_ptr<HttpReply> reply);
  void EndUtterance(std::shared_ptr<HttpReply> reply);
  void Clear(std::shared_ptr<HttpReply> reply);
  void Close(std::shared_ptr<HttpReply> reply);

  LiveOutputKind kind() const { return kind_; }

  void OnOutput() override;
  void OnAccepted() override;

 private:
  class Feed;
  using Done = std::function<void(const Status&)>;
  struct Todo {
    StreamRequest request;
    Done done;  // may be null
  };
  void Post(std::function<void()> task);
  void Say(std::vector<StreamRequest> requests, Done done);
  void SayAndAnswer(StreamRequest request, std::shared_ptr<HttpReply> reply);

  // On the strand.
  void PushNext();
  void Pump();
  void OnFrame(const StreamEvent& frame);
  void BeginReading(const std::shared_ptr<HttpReply>& reply);
  void Write(Result<std::string> piece);
  void LetReaderGo(bool whole);
  void Over(const Status& why);

  SpeechHost& host_;  // there as long as stream_ is
  const LiveOutputKind kind_;
  const std::string id_;
  const audio::AudioFormat format_;
  const std::weak_ptr<HttpLiveSessions> sessions_;
  const std::shared_ptr<Strand> strand_;

  // The strand's.
  std::shared_ptr<SpeechStream> stream_;  // null: over
  std::deque<Todo> todo_;                 // the first is with the stream while busy_
  bool busy_ = false;
  std::shared_ptr<HttpReply> reply_;  // the reader's
  std::unique_ptr<LiveOutput> output_;
  std::string head_;
  uint64_t reader_ = 0;  // how many there were
  bool writing_ = false;
  int64_t unread_ = 0;  // frames

  std::mutex mu_;
  uint64_t utterance_ = 1;  // guarded by mu_
  bool heard_ = false;      // guarded by mu_: sound of it
  bool feeding_ = false;    // guarded by mu_
};

/// Those that are open, by id. Thread: any.
class HttpLiveSessions : public std::enable_shared_from_this<HttpLiveSessions> {
 public:
  std::shared_ptr<HttpLiveSession> Open(SpeechHost& host, std::shared_ptr<SpeechStream> stream,
                                        LiveOutputKind kind);
  Result<std::shared_ptr<HttpLiveSession>> Find(const std::string& id) const;
  void Forget(const std::string& id);

 private:
  mutable std::mutex mu_;
  std::map<std::string, std::shared_ptr<HttpLiveSession>> open_;  // guarded by mu_
};

}  // namespace lipcast::server
