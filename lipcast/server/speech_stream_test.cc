#include "lipcast/server/speech_stream.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <thread>

#include "lipcast/media/encoder_info.h"
#include "lipcast/media/jpeg_codec.h"
#include "lipcast/media/png_codec.h"
#include "lipcast/server/test_stand.h"

namespace lipcast::server {
namespace {

using pipeline::Speech;
using pipeline::Watchdog;
using std::chrono::seconds;
using Kind = StreamEvent::Kind;

constexpr int64_t kSecond = 16'000;

std::string TextOf(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// What a session gives for `bytes`, each picture through `look`.
template <typename Look>
std::vector<std::string> SessionPictures(TestStand& stand, size_t avatar,
                                         std::span<const std::byte> bytes, PixelFormat pixels,
                                         const Look& look) {
  pipeline::SessionOptions options;
  options.pixels = pixels;
  const auto session = stand.stage_.Open(stand.avatars_[avatar], options);
  std::vector<std::string> pictures;
  const auto played = pipeline::Play(*session, bytes, SIZE_MAX, [&](const pipeline::Frame& frame) {
    pictures.push_back(look(frame.picture));
  });
  EXPECT_TRUE(played.status.ok()) << played.status.ToString();
  return pictures;
}

std::string Packed(const PictureView& picture) {  // a session's pictures are packed
  return {reinterpret_cast<const char*>(picture.plane[0]),
          PictureBytes(picture.format, picture.width, picture.height)};
}

std::string Jpeg(const PictureView& picture) {
  std::vector<uint8_t> bytes;
  EXPECT_TRUE(media::EncodeJpeg(picture, 75, 0, &bytes).ok());
  return {bytes.begin(), bytes.end()};
}

TEST(SpeechStream, AtFilePaceGivesASessionsPicturesWhateverThePieces) {
  const Watchdog watchdog;
  TestStand stand;
  const auto bytes = Speech(kSecond + 123);
  const auto wanted = SessionPictures(stand, 0, bytes, PixelFormat::kBgr24, Jpeg);
  ASSERT_EQ(wanted.size(), 26U);
  for (const size_t piece : {size_t{37}, size_t{640}, SIZE_MAX}) {
    TestClient client(stand.Open(FilePace(PictureCodec::kJpeg)));
    client.Play(bytes, piece);
    EXPECT_EQ(client.Pictures(), wanted) << piece;
    EXPECT_EQ(client.Sound().substr(0, bytes.size()), TextOf(bytes)) << piece;
    const auto finished = client.Of(Kind::kFinished);
    ASSERT_EQ(finished.size(), 1U);
    EXPECT_EQ(finished[0].played_samples, kSecond + 123);
    EXPECT_FALSE(finished[0].interrupted);
  }
}

TEST(SpeechStream, EveryCodecShowsTheSamePixels) {
  const Watchdog watchdog;
  TestStand stand;
  const auto bytes = Speech(kSecond / 4);
  const auto play = [&](PictureCodec codec) {
    TestClient client(stand.Open(FilePace(codec)));
    client.Play(bytes);
    return client.Pictures();
  };
  const auto bgr = SessionPictures(stand, 0, bytes, PixelFormat::kBgr24, Packed);
  ASSERT_FALSE(bgr.empty());
  EXPECT_EQ(play(PictureCodec::kBgr), bgr);
  EXPECT_EQ(play(PictureCodec::kI420),
            SessionPictures(stand, 0, bytes, PixelFormat::kI420, Packed));

  std::vector<std::string> from_rgba, from_png;
  for (const std::string& rgba : play(PictureCodec::kRgba)) {
    std::string& back = from_rgba.emplace_back();
    for (size_t i = 0; i + 3 < rgba.size(); i += 4) {
      back.append({rgba[i + 2], rgba[i + 1], rgba[i]});
      ASSERT_EQ(rgba[i + 3], '\xFF');
    }
  }
  EXPECT_EQ(from_rgba, bgr);
  for (const std::string& png : play(PictureCodec::kPng)) {
    const auto picture =
        media::DecodePng(std::span(reinterpret_cast<const uint8_t*>(png.data()), png.size()));
    ASSERT_TRUE(picture.ok()) << picture.status().ToString();
    from_png.push_back(Packed(picture->view()));
  }
  EXPECT_EQ(from_png, bgr);
}

TEST(SpeechStream, LeavesTheSoundOutWhereNoneIsWanted) {
  const Watchdog watchdog;
  TestStand stand;
  StreamOptions options = FilePace();
  options.sound = SoundOut::kNone;
  TestClient client(stand.Open(options));
  client.Play(Speech(kSecond / 4));
  EXPECT_EQ(client.Pictures().size(), 7U);
  EXPECT_EQ(client.Sound(), "");
}

TEST(SpeechStream, RefusesAJpegQualityThatIsNone) {
  TestStand stand;
  for (const int quality : {0, 101}) {
    StreamOptions options = FilePace();
    options.picture.jpeg_quality = quality;
    const auto stream = stand.host_->Open("1", options);
    EXPECT_EQ(stream.status().ToString(),
              "INVALID_ARGUMENT: jpeg_quality = " + std::to_string(quality) + ": want 1..100");
  }
}

TEST(SpeechStream, AReaderThatStopsStopsTheStream) {
  const Watchdog watchdog;
  TestStand stand;
  {
    TestClient client(stand.Open(FilePace()));
    client.stream_->Push(AudioOf(1, Speech(20 * kSecond)));
    // Started, the state and 6 frames fill what 2 workers may have waiting.
    while (stand.metrics_.count("frames_total") < 6) std::this_thread::yield();
    client.stream_->Cancel(Status(Code::kCancelled, "the client left"));
    while (client.status().ok()) std::this_thread::yield();  // it reads nothing before
    client.ReadToTheEnd();
    EXPECT_EQ(client.status().ToString(), "CANCELLED: the client left");
    EXPECT_EQ(client.accepted(), 0U);
    EXPECT_TRUE(client.events_.empty());
  }
  stand.WaitUntilAllAreGone();
  EXPECT_LE(stand.metrics_.count("frames_total"), 2 * 2 + 4);
}

TEST(SpeechStream, ClearsOfAReaderThatStopsDoNotPileUp) {
  const Watchdog watchdog;
  TestStand stand;
  for (const bool live : {false, true}) {
    TestClient client(stand.Open(live ? LivePace() : FilePace()));
    for (uint64_t i = 1; i <= 2000; ++i) client.stream_->Push(ClearAs(i));
    client.stream_->Cancel(Status(Code::kCancelled, ""));
    while (client.stream_->status().ok()) std::this_thread::yield();
    EXPECT_GE(client.accepted(), 8U);
    EXPECT_LE(client.accepted(), live ? 25 * 10 + 64U : 8 + 64U) << live;
  }
}

TEST(SpeechStream, AnswersAClearWithItsRequestAndThePositionOfFinished) {
  const Watchdog watchdog;
  TestStand stand;
  for (const bool live : {false, true}) {
    TestClient client(stand.Open(live ? LivePace() : FilePace()));
    ASSERT_TRUE(client.Send(AudioOf(1, Speech(3 * kSecond))));
    ASSERT_TRUE(client.ReadUntil([&] {
      return !client.events_.empty() && client.events_.back().kind == Kind::kFrame &&
             client.events_.back().utterance == 1;
    }));
    client.stream_->Push(ClearAs(7));
    ASSERT_TRUE(client.ReadTo(Kind::kCleared));
    const StreamEvent cleared = client.events_.back();
    EXPECT_EQ(cleared.request, 7U);
    EXPECT_EQ(cleared.utterance, 1U);
    const size_t after = client.events_.size();
    ASSERT_TRUE(client.Say(2, Speech(kSecond / 2, 2)));
    ASSERT_TRUE(client.Send(CloseNow()));
    client.ReadToTheEnd();
    EXPECT_TRUE(client.status().ok()) << client.status().ToString();
    const auto of_the_old =
        std::count_if(client.events_.begin() + static_cast<ptrdiff_t>(after), client.events_.end(),
                      [](const StreamEvent& event) {
                        return event.kind == Kind::kFrame && event.utterance == 1;
                      });
    EXPECT_LE(of_the_old, 1) << live;
    const auto finished = client.Of(Kind::kFinished);
    ASSERT_EQ(finished.size(), 2U);
    EXPECT_EQ(finished[0].utterance, 1U);
    EXPECT_TRUE(finished[0].interrupted);
    EXPECT_EQ(finished[0].played_samples, cleared.played_samples) << live;
    EXPECT_EQ(finished[1].utterance, 2U);
    EXPECT_FALSE(finished[1].interrupted);
    EXPECT_EQ(finished[1].played_samples, kSecond / 2);
    const auto frames = client.Of(Kind::kFrame);
    for (size_t i = 0; i < frames.size(); ++i) {
      ASSERT_EQ(frames[i].frame, static_cast<int64_t>(i));
    }
  }
}

TEST(SpeechStream, RequestsAfterTheEndDoNothing) {
  const Watchdog watchdog;
  TestStand stand;
  {
    TestClient client(stand.Open(FilePace()));
    client.Play(Speech(kSecond / 4));
    const uint64_t accepted = client.accepted();
    const size_t events = client.events_.size();
    client.stream_->Push(AudioOf(2, Speech(kSecond)));
    client.stream_->Push(ClearAs(1));
    client.stream_->Push(CloseNow());
    client.stream_->Cancel(Status(Code::kCancelled, "late"));
    client.ReadToTheEnd();
    EXPECT_EQ(client.events_.size(), events);
    EXPECT_EQ(client.accepted(), accepted);
  }
  stand.WaitUntilAllAreGone();
}

TEST(SpeechStream, WhatWasNotReadIsDroppedByACancelAfterTheLastEvent) {
  const Watchdog watchdog;
  TestStand stand(4);
  TestClient client(stand.Open(FilePace()));
  // Ends by itself with 4 frames, started, finished and the state unread.
  client.stream_->Push(AudioOf(1, Speech(kSecond * 3 / 25)));
  client.stream_->Push(CloseNow());
  while (stand.metrics_.count("frames_total") < 3) std::this_thread::yield();
  client.stream_->Cancel(Status(Code::kDeadlineExceeded, "over"));
  while (client.status().ok()) std::this_thread::yield();
  client.ReadToTheEnd();
  EXPECT_TRUE(client.events_.empty());
  EXPECT_EQ(client.status().code(), Code::kDeadlineExceeded);
}

TEST(SpeechStream, AListenerThatComesAfterTheCancelHearsOfTheEnd) {
  const Watchdog watchdog;
  TestStand stand;
  const auto stream = stand.Open(FilePace());
  stream->Cancel(Status(Code::kUnavailable, "the server is shutting down"));
  while (stream->status().ok()) std::this_thread::yield();
  StreamEvent event;
  TestClient client(stream);
  // Nothing was popped before the listener heard: a client may wait for the call.
  client.WaitForOutput();
  client.ReadToTheEnd();
  EXPECT_EQ(client.status().code(), Code::kUnavailable);
}

TEST(SpeechStream, CanBeCancelledAtAnyMoment) {
  const Watchdog watchdog;
  for (const int workers : {1, 2}) {
    TestStand stand(workers);
    const auto bytes = Speech(kSecond);
    for (int moment = 0; moment < 40; ++moment) {
      TestClient client(stand.Open(moment % 4 == 3 ? LivePace() : FilePace()));
      std::thread other([stream = client.stream_, moment] {
        for (int i = 0; i < moment * 50; ++i) std::this_thread::yield();
        stream->Cancel(Status(Code::kCancelled, "now"));
      });
      client.Say(1, bytes, 4000);
      client.ReadToTheEnd();
      EXPECT_EQ(client.status().code(), Code::kCancelled);
      other.join();
    }
    stand.WaitUntilAllAreGone();
  }
}

/// Holds the only reference to a stream and lets go of it at the nth call.
class LastHolder final : public StreamListener {
 public:
  LastHolder(std::shared_ptr<SpeechStream> stream, int calls)
      : stream_(std::move(stream)), calls_(calls) {}
  void OnOutput() override { Called(); }
  void OnAccepted() override { Called(); }

 private:
  void Called() {
    std::shared_ptr<SpeechStream> mine;
    const std::lock_guard lock(mu_);
    StreamEvent event;
    while (stream_ && stream_->Pop(&event) == SpeechStream::Popped::kEvent) continue;
    if (--calls_ <= 0) mine = std::move(stream_);
    if (mine) mine->Cancel(Status(Code::kCancelled, "dropped"));
  }
  std::mutex mu_;
  std::shared_ptr<SpeechStream> stream_;  // guarded by mu_
  int calls_;                             // guarded by mu_
};

TEST(SpeechStream, MayEndOnAWorkerTheLoopOrTheClientsThread) {
  const Watchdog watchdog;
  for (const int workers : {1, 3}) {
    for (int calls = 0; calls < 25; ++calls) {
      TestStand stand(workers);
      auto stream = stand.Open(FilePace());
      stream->Start(std::make_shared<LastHolder>(calls == 0 ? nullptr : stream, calls));
      stream->Push(AudioOf(1, Speech(2 * kSecond)));
      stream.reset();
      if (calls % 2 == 1) stand.host_.reset();  // must wait for it
      if (stand.host_) stand.WaitUntilAllAreGone();
    }
  }
}

TEST(SpeechStream, AWrongIdEndsIt) {
  const Watchdog watchdog;
  TestStand stand;
  for (const bool live : {false, true}) {
    TestClient client(stand.Open(live ? LivePace() : FilePace()));
    EXPECT_TRUE(client.Say(5, Speech(800)));
    EXPECT_FALSE(client.Send(AudioOf(4, Speech(800))));
    EXPECT_EQ(client.status().code(), Code::kInvalidArgument) << live;
    EXPECT_NE(client.status().message().find("utterance 4"), std::string::npos);
    TestClient zero(stand.Open(live ? LivePace() : FilePace()));
    EXPECT_FALSE(zero.Send(AudioOf(0, Speech(800))));
    EXPECT_EQ(zero.status().code(), Code::kInvalidArgument) << live;
  }
}

TEST(SpeechStream, EndsAfterItsLimit) {
  const Watchdog watchdog;
  TestStand stand(2, seconds(1));
  for (const bool live : {false, true}) {
    const TimePoint opened = stand.clock_.Now();
    TestClient client(stand.Open(live ? LivePace() : FilePace()));
    client.ReadToTheEnd();
    EXPECT_EQ(client.status().ToString(), "DEADLINE_EXCEEDED: the session's time is over");
    EXPECT_GE(stand.clock_.Now() - opened, seconds(1));
  }
}

TEST(SpeechStream, EndsWhenNothingIsSaidForTooLongAlsoInTheMiddleOfAnUtterance) {
  const Watchdog watchdog;
  TestStand stand(2, {}, seconds(1));
  for (const bool live : {false, true}) {
    TestClient client(stand.Open(live ? LivePace() : FilePace()));
    EXPECT_TRUE(client.Send(AudioOf(1, Speech(kSecond))));
    client.ReadToTheEnd();
    EXPECT_FALSE(client.Of(Kind::kFrame).empty());
    EXPECT_EQ(client.status().ToString(), "DEADLINE_EXCEEDED: nothing was said for too long");
  }
}

TEST(SpeechStream, TwoAvatarsAtOnceNeverMixTheirPixels) {
  const Watchdog watchdog;
  TestStand stand(3);
  const auto bytes = Speech(kSecond);
  std::vector<std::string> wanted[2], found[2];
  for (const size_t i : {0, 1}) {
    wanted[i] = SessionPictures(stand, i, bytes, PixelFormat::kBgr24, Packed);
  }
  ASSERT_NE(wanted[0][0], wanted[1][0]);
  std::vector<std::thread> threads;
  for (const size_t i : {0, 1}) {
    threads.emplace_back([&, i] {
      TestClient client(stand.Open(FilePace(), std::to_string(i + 1)));
      client.Play(bytes, 1000);
      found[i] = client.Pictures();
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const size_t i : {0, 1}) EXPECT_EQ(found[i], wanted[i]) << i;
}

TEST(SpeechHost, OpensNothingWhileDraining) {
  TestStand stand;
  stand.admission_.Drain();
  for (const StreamOptions& options : {FilePace(), LivePace()}) {
    EXPECT_EQ(stand.host_->Open("1", options).status().ToString(),
              "UNAVAILABLE: the server is shutting down");
  }
  stand.WaitUntilAllAreGone();
}

TEST(SpeechHost, AnAvatarThatIsNotThereOpensNothing) {
  TestStand stand;
  EXPECT_EQ(stand.host_->Open("3", FilePace()).status().code(), Code::kNotFound);
  EXPECT_EQ(stand.host_->open_streams(), 0);
}

TEST(SpeechHost, CancelAllEndsEveryStream) {
  const Watchdog watchdog;
  TestStand stand;
  TestClient file(stand.Open(FilePace())), live(stand.Open(LivePace()));
  EXPECT_EQ(stand.host_->open_streams(), 2);
  stand.host_->CancelAll(Status(Code::kUnavailable, "over"));
  file.ReadToTheEnd();
  live.ReadToTheEnd();
  EXPECT_EQ(file.status().code(), Code::kUnavailable);
  EXPECT_EQ(live.status().code(), Code::kUnavailable);
}

TEST(SpeechHost, LivesThroughARandomWalkOfItsClients) {
  const Watchdog watchdog;
  TestStand stand;
  uint32_t state = 20240611;
  const auto random = [&](uint32_t below) {
    state = state * 1664525U + 1013904223U;
    return (state >> 16) % below;
  };
  struct Walker {
    std::unique_ptr<TestClient> client;
    bool reads = true;
    uint64_t utterance = 1, request = 0, pushed = 0;
  };
  std::vector<Walker> walkers;
  const auto bytes = Speech(kSecond);
  const uint32_t codecs = media::FindEncoders().h264_encoders.empty() ? 5 : 7;
  for (int step = 0; step < 10'000; ++step) {
    if (walkers.empty() || (walkers.size() < 8 && random(50) == 0)) {
      StreamOptions options = random(2) == 0 ? FilePace() : LivePace();
      options.picture.codec = static_cast<PictureCodec>(random(codecs));
      options.sound = static_cast<SoundOut>(random(3));
      options.sound_rate_hz = 48'000;
      walkers.push_back(
          {std::make_unique<TestClient>(stand.Open(options, random(2) == 0 ? "1" : "2")),
           random(4) != 0});
      continue;
    }
    Walker& walker = walkers[random(static_cast<uint32_t>(walkers.size()))];
    TestClient& client = *walker.client;
    // One request at a time, as a transport does.
    const auto push = [&](StreamRequest request) {
      if (client.accepted() < walker.pushed) return;
      ++walker.pushed;
      client.stream_->Push(std::move(request));
    };
    switch (const uint32_t what = random(100)) {
      case 0:
        client.stream_->Cancel(Status(Code::kCancelled, "walked away"));
        break;
      case 1:
        walkers.erase(walkers.begin() + (&walker - walkers.data()));
        continue;  // the walker is gone
      case 2:
        push(CloseNow());
        break;
      case 3:
        push(KeyFrameNow());
        break;
      case 4:
      case 5:
        push(ClearAs(++walker.request));
        break;
      case 6:
      case 7:
      case 8:
      case 9:
        push(EndOf(walker.utterance));
        ++walker.utterance;
        break;
      default:
        if (what < 50) {
          push(AudioOf(walker.utterance, std::span(bytes).first(random(32'000))));
        } else if (walker.reads) {
          client.PopSome(random(10));
        }
    }
    for (const StreamEvent& event : client.events_) {
      if (event.kind == Kind::kCleared) {
        ASSERT_LE(event.request, walker.request);
      }
    }
    client.events_.clear();
  }
  for (Walker& walker : walkers) {
    walker.client->stream_->Cancel(Status(Code::kCancelled, "the walk is over"));
    walker.client->ReadToTheEnd();
  }
  walkers.clear();
  stand.WaitUntilAllAreGone();
  EXPECT_EQ(stand.admission_.report().sessions, 0);
}

}  // namespace
}  // namespace lipcast::server
