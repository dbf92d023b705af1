#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <thread>

#include "lipcast/media/encoder_info.h"
#include "lipcast/media/media_test_support.h"
#include "lipcast/server/test_stand.h"

namespace lipcast::server {
namespace {

using pipeline::Speech;
using pipeline::Watchdog;
using Kind = StreamEvent::Kind;

constexpr int64_t kSecond = 16'000;
constexpr size_t kPictureBytes = 64 * 48 * 3 / 2;  // of TestStand's avatars, as I420

bool NoH264() { return media::FindEncoders().h264_encoders.empty(); }

std::vector<StreamEvent> WithPictures(const TestClient& client) {
  auto frames = client.Of(Kind::kFrame);
  std::erase_if(frames, [](const StreamEvent& frame) { return frame.picture.empty(); });
  return frames;
}

/// How many pictures ffmpeg finds; its complaints about missing references fail the test.
size_t DecodedPictures(const std::string& annex_b) {
  const TempFolder folder;
  media::test::WriteFile(folder / "x.h264", {annex_b.begin(), annex_b.end()});
  const std::string said = media::test::Run(
      "ffmpeg -v error -f h264 -i " + media::test::Quoted(folder / "x.h264") +
      " -fps_mode passthrough -f rawvideo " + media::test::Quoted(folder / "x.yuv"));
  EXPECT_EQ(said, "");
  return media::test::ReadFile(folder / "x.yuv").size() / kPictureBytes;
}

std::string Joined(const std::vector<StreamEvent>& frames) {
  std::string all;
  for (const StreamEvent& frame : frames) all += frame.picture;
  return all;
}

TEST(SpeechStreamCodecs, H264HasAPictureForEveryFrameAndAKeyFrameFirst) {
  if (NoH264()) GTEST_SKIP() << "built without libav";
  const Watchdog watchdog;
  TestStand stand;
  TestClient client(stand.Open(FilePace(PictureCodec::kH264AnnexB)));
  EXPECT_TRUE(client.stream_->codec_config().empty());
  client.Play(Speech(3 * kSecond));
  const auto frames = WithPictures(client);
  ASSERT_EQ(frames.size(), 75U);
  EXPECT_EQ(DecodedPictures(Joined(frames)), 75U);
  for (size_t i = 0; i < frames.size(); ++i) {
    EXPECT_EQ(frames[i].frame, static_cast<int64_t>(i));
    EXPECT_EQ(frames[i].key_frame, i % 50 == 0) << i;
  }
}

TEST(SpeechStreamCodecs, AvccIsTheSamePicturesWithTheParameterSetsUpFront) {
  if (NoH264()) GTEST_SKIP() << "built without libav";
  const Watchdog watchdog;
  TestStand stand;
  TestClient client(stand.Open(FilePace(PictureCodec::kH264Avcc)));
  EXPECT_EQ(client.stream_->codec_config()[0], 1);
  client.Play(Speech(kSecond));
  const auto frames = WithPictures(client);
  ASSERT_EQ(frames.size(), 25U);
  for (const StreamEvent& frame : frames) {
    size_t at = 0;
    while (at + 4 < frame.picture.size()) {
      const auto byte = [&](size_t i) { return static_cast<uint8_t>(frame.picture[at + i]); };
      at += 4 + (size_t{byte(0)} << 24 | size_t{byte(1)} << 16 | size_t{byte(2)} << 8 | byte(3));
    }
    EXPECT_EQ(at, frame.picture.size());
  }
}

TEST(SpeechStreamCodecs, OtherPicturesAreAllKeyFramesAndAskingForOneIsAWarning) {
  const Watchdog watchdog;
  TestStand stand;
  TestClient client(stand.Open(FilePace()));
  ASSERT_TRUE(client.Send(KeyFrameNow()));
  client.Play(Speech(kSecond / 4));
  const auto warnings = client.Of(Kind::kWarning);
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_EQ(warnings[0].message, "key_frame: the stream's pictures are all whole");
  for (const StreamEvent& frame : client.Of(Kind::kFrame)) EXPECT_TRUE(frame.key_frame);
}

TEST(SpeechStreamCodecs, AKeyFrameComesWithinTwoFramesOfItsRequest) {
  if (NoH264()) GTEST_SKIP() << "built without libav";
  const Watchdog watchdog;
  TestStand stand;
  StreamOptions options = LivePace();
  options.picture.codec = PictureCodec::kH264AnnexB;
  TestClient client(stand.Open(options));
  const auto& events = client.events_;
  const auto is_key = [](const StreamEvent& event) {
    return event.kind == Kind::kFrame && event.key_frame;
  };
  ASSERT_TRUE(client.ReadUntil([&] {
    return !events.empty() && events.back().kind == Kind::kFrame && events.back().frame >= 7;
  }));
  const auto asked = static_cast<ptrdiff_t>(events.size());
  client.stream_->Push(KeyFrameNow());
  client.stream_->Push(ClearAs(1));  // its answer stands where the stream had taken both
  ASSERT_TRUE(client.ReadTo(Kind::kCleared));
  const auto taken = static_cast<ptrdiff_t>(events.size());
  const auto key_frame = [&] { return std::find_if(events.begin() + asked, events.end(), is_key); };
  ASSERT_TRUE(client.ReadUntil([&] { return key_frame() != events.end(); }));
  // One that is late on a busy machine has no picture that could be whole.
  EXPECT_LE(
      std::count_if(
          events.begin() + std::min(taken, key_frame() - events.begin()), key_frame() + 1,
          [](const StreamEvent& event) { return event.kind == Kind::kFrame && !event.repeated; }),
      2);
}

/// A client that reads nothing until `frames` frames wait for it and a clear went over them.
void ClearWhatWaits(const TestStand& stand, TestClient& client, int64_t frames) {
  while (stand.metrics_.count("frames_total") < frames) std::this_thread::yield();
  const uint64_t accepted = client.accepted();
  client.stream_->Push(ClearAs(4));
  while (client.accepted() == accepted) std::this_thread::yield();
}

/// Three seconds, cut off while frames of them wait, and another second to its end.
void SpeakOverWhatWaits(const TestStand& stand, TestClient& client) {
  client.stream_->Push(AudioOf(1, Speech(3 * kSecond)));
  ClearWhatWaits(stand, client, 6);
  ASSERT_TRUE(client.ReadTo(Kind::kCleared));
  ASSERT_TRUE(client.Say(2, Speech(kSecond, 2)));
  ASSERT_TRUE(client.Send(CloseNow()));
  client.ReadToTheEnd();
}

TEST(SpeechStreamCodecs, AClearCountsAsPlayedOnlyWhatTheClientStillGets) {
  const Watchdog watchdog;
  for (const bool ended : {false, true}) {
    TestStand stand;
    StreamOptions options = FilePace();
    options.sound = SoundOut::kPcm16;
    options.sound_rate_hz = 24'000;
    TestClient client(stand.Open(options));
    // Started, the state and 6 frames fill what 2 workers may have waiting.
    client.stream_->Push(AudioOf(1, Speech(ended ? 5 * 640 : 3 * kSecond)));
    if (ended) client.stream_->Push(AudioOf(2, Speech(3 * kSecond)));
    ClearWhatWaits(stand, client, ended ? 5 : 6);
    ASSERT_TRUE(client.ReadTo(Kind::kCleared));
    EXPECT_EQ(client.events_.back().utterance, 1U);
    EXPECT_EQ(client.events_.back().played_samples, 640);
    ASSERT_TRUE(client.Send(CloseNow()));
    client.ReadToTheEnd();
    const auto finished = client.Of(Kind::kFinished);
    ASSERT_EQ(finished.size(), ended ? 2U : 1U);
    EXPECT_EQ(finished[0].played_samples, 640);
    EXPECT_TRUE(finished[0].interrupted);
    const auto frames = client.Of(Kind::kFrame);
    for (size_t i = 0; i < frames.size(); ++i) {
      EXPECT_EQ(frames[i].sound.size(), 960U * 2) << i;
      EXPECT_EQ(frames[i].repeated, i > 0) << i;
      EXPECT_EQ(frames[i].sound == std::string(960 * 2, '\0'), i > 0) << i;
    }
  }
}

TEST(SpeechStreamCodecs, AfterAClearH264GoesOnWithoutWhatTheClientNeverSaw) {
  if (NoH264()) GTEST_SKIP() << "built without libav";
  const Watchdog watchdog;
  TestStand stand;
  TestClient client(stand.Open(FilePace(PictureCodec::kH264AnnexB)));
  ASSERT_NO_FATAL_FAILURE(SpeakOverWhatWaits(stand, client));
  const auto frames = WithPictures(client);
  ASSERT_EQ(frames.size(), 1U + 25U);
  EXPECT_TRUE(frames[0].key_frame);
  // frames[1] is a key frame where what was cut had been encoded, and not where the clear was
  // quicker than the workers.
  EXPECT_FALSE(frames[2].key_frame);
  EXPECT_EQ(DecodedPictures(Joined(frames)), frames.size());
}

StreamOptions AsMovie(SoundOut sound) {
  StreamOptions options = FilePace(PictureCodec::kH264Avcc);
  options.movie = true;
  options.sound = sound;
  options.sound_rate_hz = 48'000;
  return options;
}

struct Decoded {
  size_t pictures = 0, samples = 0;
};

/// What ffmpeg finds in the movie that a client of the stream has; a complaint of it fails the
/// test.
Decoded DecodedMovie(const TestClient& client) {
  const auto head = client.stream_->codec_config();
  std::vector<uint8_t> all(head.begin(), head.end());
  for (const StreamEvent& event : client.events_) {
    if (event.kind != Kind::kFrame && event.kind != Kind::kMovieEnd) continue;
    EXPECT_TRUE(event.sound.empty());
    all.insert(all.end(), event.picture.begin(), event.picture.end());
  }
  EXPECT_EQ(client.events_.back().kind, Kind::kMovieEnd);
  const TempFolder folder;
  media::test::WriteFile(folder / "x.mp4", all);
  media::test::WriteFile(folder / "x.pcm", {});
  const bool sound = client.stream_->options().sound != SoundOut::kNone;
  const std::string said = media::test::Run(
      "ffmpeg -v error -i " + media::test::Quoted(folder / "x.mp4") +
      " -map v -fps_mode passthrough -f rawvideo " + media::test::Quoted(folder / "x.yuv") +
      (sound ? " -map a -f s16le -y " + media::test::Quoted(folder / "x.pcm") : ""));
  EXPECT_EQ(said, "");
  return {media::test::ReadFile(folder / "x.yuv").size() / kPictureBytes,
          media::test::ReadFile(folder / "x.pcm").size() / 2};
}

TEST(SpeechStreamCodecs, AMovieHasEveryFrameAndItsSoundToTheEnd) {
  if (NoH264()) GTEST_SKIP() << "built without libav";
  const Watchdog watchdog;
  for (const SoundOut sound : {SoundOut::kPcm16, SoundOut::kNone}) {
    TestStand stand;
    TestClient client(stand.Open(AsMovie(sound)));
    const bool silent = sound == SoundOut::kNone;
    EXPECT_EQ(client.stream_->movie()->mime_type().find("mp4a") == std::string::npos, silent);
    client.Play(Speech(2 * kSecond));
    EXPECT_EQ(client.Of(Kind::kFrame).size(), 50U);
    const Decoded movie = DecodedMovie(client);
    EXPECT_EQ(movie.pictures, 50U);
    // To the next block of AAC.
    EXPECT_GE(movie.samples, silent ? 0U : 96'000U);
    EXPECT_LT(movie.samples, silent ? 1U : 96'000U + 1024U);
  }
}

TEST(SpeechStreamCodecs, AMovieGoesOnAfterAClearWithoutWhatTheClientNeverSaw) {
  if (NoH264()) GTEST_SKIP() << "built without libav";
  const Watchdog watchdog;
  TestStand stand;
  TestClient client(stand.Open(AsMovie(SoundOut::kPcm16)));
  ASSERT_NO_FATAL_FAILURE(SpeakOverWhatWaits(stand, client));
  EXPECT_EQ(DecodedMovie(client).pictures, 1U + 25U);
}

std::vector<int16_t> Samples(const std::string& bytes) {
  std::vector<int16_t> samples(bytes.size() / 2);
  std::memcpy(samples.data(), bytes.data(), samples.size() * 2);
  return samples;
}

TEST(SpeechStreamCodecs, Pcm16IsExactForEveryFrameWhateverThePiecesAndThePace) {
  const Watchdog watchdog;
  TestStand stand;
  const auto bytes = Speech(kSecond + 123);
  std::string wanted;
  for (const size_t piece : {SIZE_MAX, size_t{640}, size_t{37}}) {
    StreamOptions options = FilePace();
    options.sound = SoundOut::kPcm16;
    options.sound_rate_hz = 44'100;
    TestClient client(stand.Open(options));
    EXPECT_EQ(client.stream_->sound_format(),
              (audio::AudioFormat{.rate_hz = 44'100, .channels = 1}));
    client.Play(bytes, piece);
    EXPECT_EQ(client.Sound().size(), 26U * 1764 * 2) << piece;
    if (wanted.empty()) wanted = client.Sound();
    EXPECT_EQ(client.Sound(), wanted) << piece;
  }
  StreamOptions options = LivePace();
  options.sound = SoundOut::kPcm16;
  options.sound_rate_hz = 44'100;
  TestClient client(stand.Open(options));
  client.Play(bytes, 640);
  const auto frames = client.Of(Kind::kFrame);
  for (const StreamEvent& frame : frames) EXPECT_EQ(frame.sound.size(), 1764U * 2);
  // The utterance at live pace sounds as it did at file pace, but for its first and last moments.
  const auto begin = std::find_if(frames.begin(), frames.end(),
                                  [](const StreamEvent& frame) { return frame.utterance == 1; });
  ASSERT_GE(frames.end() - begin, 26);
  for (ptrdiff_t i = 3; i < 22; ++i) {
    const auto found = Samples(begin[i].sound);
    const auto heard = Samples(wanted.substr(static_cast<size_t>(i) * 1764 * 2, 1764 * 2));
    for (size_t k = 0; k < found.size(); ++k) ASSERT_NEAR(found[k], heard[k], 2) << i;
  }
}

TEST(SpeechStreamCodecs, Pcm16AtTheInputsRateIsTheInput) {
  const Watchdog watchdog;
  TestStand stand;
  StreamOptions options = FilePace();
  options.sound = SoundOut::kPcm16;
  TestClient client(stand.Open(options));
  const auto bytes = Speech(kSecond / 2);
  client.Play(bytes);
  std::string wanted(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  wanted.resize(13 * 640 * 2);  // the last frame is filled up
  EXPECT_EQ(client.Sound(), wanted);
}

TEST(SpeechStreamCodecs, StartedTellsTheFirstFrameOfItsUtterance) {
  const Watchdog watchdog;
  TestStand stand;
  for (const bool live : {false, true}) {
    TestClient client(stand.Open(live ? LivePace() : FilePace()));
    ASSERT_TRUE(client.Say(1, Speech(kSecond / 3)));
    ASSERT_TRUE(client.Say(2, Speech(kSecond / 3, 2)));
    ASSERT_TRUE(client.Send(CloseNow()));
    client.ReadToTheEnd();
    const auto started = client.Of(Kind::kStarted);
    ASSERT_EQ(started.size(), 2U);
    const auto frames = client.Of(Kind::kFrame);
    for (const StreamEvent& one : started) {
      const auto first = std::find_if(frames.begin(), frames.end(), [&](const StreamEvent& frame) {
        return frame.utterance == one.utterance;
      });
      ASSERT_NE(first, frames.end());
      EXPECT_EQ(one.frame, first->frame) << live;
    }
  }
}

TEST(SpeechStreamCodecs, OddSidesArePaddedForH264AndThatIsSaid) {
  if (NoH264()) GTEST_SKIP() << "built without libav";
  const Watchdog watchdog;
  TestStand stand;
  StreamOptions options = FilePace(PictureCodec::kH264AnnexB);
  options.session.width = 63;
  options.session.height = 47;
  TestClient client(stand.Open(options));
  EXPECT_EQ(client.stream_->width(), 64);
  EXPECT_EQ(client.stream_->height(), 48);
  client.Play(Speech(kSecond / 4));
  const auto warnings = client.Of(Kind::kWarning);
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_EQ(warnings[0].message.substr(0, 21), "63x47 padded to 64x48");
  const auto frames = WithPictures(client);
  EXPECT_EQ(DecodedPictures(Joined(frames)), 7U);
}

TEST(SpeechStreamCodecs, RefusesABitrateAndASoundRateOutOfRange) {
  TestStand stand;
  StreamOptions options = FilePace(PictureCodec::kH264Avcc);
  if (!NoH264()) {
    options.picture.bitrate_kbps = 7;
    EXPECT_EQ(stand.host_->Open("1", options).status().ToString(),
              "INVALID_ARGUMENT: bitrate_kbps = 7: want 0 or 50..100000");
  }
  options = FilePace();
  options.sound = SoundOut::kPcm16;
  options.sound_rate_hz = 4000;
  EXPECT_EQ(stand.host_->Open("1", options).status().ToString(),
            "INVALID_ARGUMENT: sound_rate_hz = 4000: want 8000..192000");
}

}  // namespace
}  // namespace lipcast::server
