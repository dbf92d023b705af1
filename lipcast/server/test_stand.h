#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "lipcast/pipeline/test_stage.h"
#include "lipcast/server/speech_host.h"

namespace lipcast::server {

/// A host on fake networks. Avatars "1", "2".. differ in every pixel. For tests.
class TestStand {
 public:
  explicit TestStand(int workers = 2, std::chrono::seconds limit = {},
                     std::chrono::seconds idle_limit = {})
      : stage_({.workers = workers}),
        registry_(
            {.roots = {stage_.folder()}},
            [this](const auto& path) {
              if (on_load_) on_load_();
              return stage_.engine().LoadAvatar(path);
            },
            clock_, log_, metrics_) {
    for (uint32_t seed = 1; seed <= 2; ++seed) {
      pipeline::StageAvatar avatar;
      avatar.seed = seed;
      avatars_.push_back(stage_.Load(avatar));
    }
    host_ = std::make_unique<SpeechHost>(SpeechHost::Parts{
        &stage_.engine(), &registry_, &admission_, &metrics_, &log_, &clock_, limit, idle_limit});
  }

  std::shared_ptr<SpeechStream> Open(const StreamOptions& options, const std::string& name = "1") {
    auto stream = host_->Open(name, options);
    EXPECT_TRUE(stream.ok()) << stream.status().ToString();
    return stream.ok() ? *std::move(stream) : nullptr;
  }
  void WaitUntilAllAreGone() const {
    while (host_->open_streams() > 0) std::this_thread::yield();
  }

  SteadyClock clock_;
  NullLogSink log_;
  pipeline::CountingMetrics metrics_;
  pipeline::TestStage stage_;
  std::vector<std::shared_ptr<const pipeline::LoadedAvatar>> avatars_;
  std::function<void()> on_load_;  ///< before a load, on its thread
  AvatarRegistry registry_;
  Admission admission_{{.workers = 1, .max_sessions = 0, .usable_share = 1e9}, metrics_};
  std::unique_ptr<SpeechHost> host_;
};

inline StreamOptions FilePace(PictureCodec codec = PictureCodec::kBgr) {
  StreamOptions options;
  options.live = false;
  options.picture.codec = codec;
  return options;
}
inline StreamOptions LivePace() {
  StreamOptions options = FilePace();
  options.live = true;
  return options;
}
inline StreamRequest AudioOf(uint64_t utterance, std::span<const std::byte> bytes) {
  return {.kind = StreamRequest::Kind::kAudio,
          .utterance = utterance,
          .audio = {reinterpret_cast<const char*>(bytes.data()), bytes.size()}};
}
inline StreamRequest EndOf(uint64_t utterance) {
  return {.kind = StreamRequest::Kind::kEnd, .utterance = utterance, .audio = {}};
}
inline StreamRequest ClearAs(uint64_t request) {
  return {.kind = StreamRequest::Kind::kClear, .request = request, .audio = {}};
}
inline StreamRequest KeyFrameNow() { return {.kind = StreamRequest::Kind::kKeyFrame, .audio = {}}; }
inline StreamRequest CloseNow() { return {.kind = StreamRequest::Kind::kClose, .audio = {}}; }

/// The other end of a stream, on the test's thread: reads while it waits to be heard.
class TestClient {
 public:
  explicit TestClient(std::shared_ptr<SpeechStream> stream)
      : stream_(std::move(stream)), ear_(std::make_shared<Ear>()) {
    stream_->Start(ear_);
  }

  /// Pops until `done()`; false where the stream ended before.
  template <typename Done>
  bool ReadUntil(const Done& done) {
    while (!done()) {
      const uint64_t heard = ear_->heard();
      StreamEvent event;
      switch (stream_->Pop(&event)) {
        case SpeechStream::Popped::kEvent:
          events_.push_back(std::move(event));
          break;
        case SpeechStream::Popped::kEnd:
          over_ = true;
          return done();
        case SpeechStream::Popped::kNothing:
          ear_->WaitPast(heard);
      }
    }
    return true;
  }
  bool Send(StreamRequest request) {
    const uint64_t wanted = ear_->accepted() + 1;
    stream_->Push(std::move(request));
    return ReadUntil([&] { return ear_->accepted() >= wanted; });
  }
  bool Say(uint64_t utterance, std::span<const std::byte> bytes, size_t piece = SIZE_MAX) {
    for (size_t at = 0; at < bytes.size();) {
      const size_t take = std::min(piece, bytes.size() - at);
      if (!Send(AudioOf(utterance, bytes.subspan(at, take)))) return false;
      at += take;
    }
    return Send(EndOf(utterance));
  }
  bool ReadTo(StreamEvent::Kind kind) {
    const size_t from = events_.size();
    return ReadUntil([&] { return events_.size() > from && events_.back().kind == kind; });
  }
  void ReadToTheEnd() {
    ReadUntil([] { return false; });
  }
  /// Until the listener is called for the first time.
  void WaitForOutput() { ear_->WaitPast(0); }
  /// What is there, at most `count` events.
  void PopSome(size_t count) {
    StreamEvent event;
    while (count-- > 0 && stream_->Pop(&event) == SpeechStream::Popped::kEvent) {
      events_.push_back(std::move(event));
    }
  }
  /// Says it all as utterance 1, closes, and reads to the end.
  void Play(std::span<const std::byte> bytes, size_t piece = SIZE_MAX) {
    EXPECT_TRUE(Say(1, bytes, piece));
    EXPECT_TRUE(Send(CloseNow()));
    ReadToTheEnd();
    EXPECT_TRUE(status().ok()) << status().ToString();
  }

  std::vector<StreamEvent> Of(StreamEvent::Kind kind) const {
    std::vector<StreamEvent> found;
    for (const StreamEvent& event : events_) {
      if (event.kind == kind) found.push_back(event);
    }
    return found;
  }
  std::vector<std::string> Pictures() const {
    std::vector<std::string> pictures;
    for (StreamEvent& event : Of(StreamEvent::Kind::kFrame)) {
      pictures.push_back(std::move(event.picture));
    }
    return pictures;
  }
  std::string Sound() const {
    std::string sound;
    for (const StreamEvent& event : events_) sound += event.sound;
    return sound;
  }
  Status status() const { return stream_->status(); }
  uint64_t accepted() const { return ear_->accepted(); }

  std::shared_ptr<SpeechStream> stream_;
  std::vector<StreamEvent> events_;
  bool over_ = false;

 private:
  class Ear final : public StreamListener {
   public:
    void OnOutput() override { Hear(0); }
    void OnAccepted() override { Hear(1); }
    uint64_t heard() const {
      const std::lock_guard lock(mu_);
      return heard_;
    }
    uint64_t accepted() const {
      const std::lock_guard lock(mu_);
      return accepted_;
    }
    void WaitPast(uint64_t heard) {
      std::unique_lock lock(mu_);
      changed_.wait(lock, [&] { return heard_ > heard; });
    }

   private:
    void Hear(uint64_t accepted) {
      const std::lock_guard lock(mu_);
      ++heard_;
      accepted_ += accepted;
      changed_.notify_all();
    }
    mutable std::mutex mu_;
    std::condition_variable changed_;
    uint64_t heard_ = 0, accepted_ = 0;  // guarded by mu_
  };
  std::shared_ptr<Ear> ear_;
};

}  // namespace lipcast::server
