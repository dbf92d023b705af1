#include "lipcast/server/recordings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "lipcast/media/encoder_info.h"
#include "lipcast/media/h264_stream.h"
#include "lipcast/media/image_codec.h"
#include "lipcast/media/media_test_support.h"
#include "lipcast/media/video_decoder.h"
#include "lipcast/server/test_stand.h"

namespace lipcast::server {
namespace {

using inference::Gate;
using media::test::Probe;
using pipeline::Speech;
using testing::HasSubstr;
using testing::Not;
using Kind = StreamEvent::Kind;

constexpr Rational kFps{100, 1};
constexpr int64_t kSecond = 16'000;

/// Holds up the writer that tells it of an end.
class HoldingLog final : public LogSink {
 public:
  HoldingLog() { gate_.Open(); }
  void Log(LogLevel level, std::string_view event, std::span<const LogField> fields) override {
    if (event == "recording_ended") gate_.Pass();
    kept_.Log(level, event, fields);
  }
  Gate gate_;
  MemoryLogSink kept_;
};

class RecordingsTest : public testing::Test {
 protected:
  void SetUp() override {
    if (media::FindEncoders().h264_encoders.empty()) GTEST_SKIP() << "built without libav";
    options_.folder = folder_.path();
  }
  ~RecordingsTest() override { log_.gate_.Open(); }

  Recordings& recordings() {
    if (!recordings_) {
      auto made = Recordings::Create(options_, {&metrics_, &log_, &clock_});
      EXPECT_TRUE(made.ok()) << made.status().ToString();
      recordings_ = *std::move(made);
      stand_ = std::make_unique<TestStand>();
    }
    return *recordings_;
  }
  std::unique_ptr<TestClient> Open(PictureCodec codec = PictureCodec::kH264Avcc,
                                   SoundOut sound = SoundOut::kInput) {
    recordings();
    StreamOptions options = LivePace();
    options.picture.codec = codec;
    options.session.fps = kFps;
    options.sound = sound;
    auto client = std::make_unique<TestClient>(stand_->Open(options));
    EXPECT_TRUE(client->ReadTo(Kind::kFrame));
    return client;
  }
  std::string Begin(TestClient& client) {
    from_ = client.events_.size();
    const auto begun = recordings().Begin(*client.stream_);
    EXPECT_TRUE(begun.ok()) << begun.status().ToString();
    return begun.ok() ? begun->id : "";
  }
  /// So many more frames.
  static bool Read(TestClient& client, size_t frames) {
    const size_t wanted = client.Of(Kind::kFrame).size() + frames;
    return client.ReadUntil([&] { return client.Of(Kind::kFrame).size() >= wanted; });
  }
  /// Until so many frames are in the file.
  bool ReadRecorded(TestClient& client, const std::string& id, int64_t frames) {
    return client.ReadUntil([&] { return recordings().Get(id)->frames >= frames; });
  }
  RecordingInfo Await(const std::string& id) {
    for (;;) {
      const auto info = recordings().Get(id);
      EXPECT_TRUE(info.ok()) << info.status().ToString();
      if (!info.ok() || IsOver(info->state)) return info.ok() ? *info : RecordingInfo();
      std::this_thread::yield();
    }
  }
  RecordingInfo Stopped(const std::string& id) {
    EXPECT_TRUE(recordings().Stop(id).ok());
    const RecordingInfo info = Await(id);
    EXPECT_EQ(info.state, RecordingState::kDone) << info.status.ToString();
    EXPECT_EQ(info.ended_by, RecordingEnd::kStop);
    return info;
  }
  /// What the client got since Begin from the first key frame on, `frames` of them.
  std::vector<StreamEvent> Sent(const TestClient& client, int64_t frames) const {
    std::vector<StreamEvent> sent;
    for (size_t i = from_; i < client.events_.size(); ++i) {
      const StreamEvent& event = client.events_[i];
      if (event.kind != Kind::kFrame || (sent.empty() && !event.key_frame)) continue;
      if (static_cast<int64_t>(sent.size()) < frames) sent.push_back(event);
    }
    EXPECT_EQ(static_cast<int64_t>(sent.size()), frames);
    return sent;
  }
  std::filesystem::path FileOf(const std::string& id) {
    const auto file = recordings().File(id);
    EXPECT_TRUE(file.ok()) << file.status().ToString();
    return file.ok() ? (*file)->path() : "";
  }
  std::vector<std::string> FilesLeft() const {
    std::vector<std::string> names;
    for (const auto& item : std::filesystem::recursive_directory_iterator(folder_.path())) {
      if (item.is_regular_file()) names.push_back(item.path().filename().string());
    }
    return names;
  }
  static std::vector<double> Times(const std::filesystem::path& path) {
    std::istringstream lines(Probe(path, "v", "packet=pts_time"));
    std::vector<double> times;
    for (std::string line; std::getline(lines, line);) times.push_back(std::stod(line));
    return times;
  }
  /// Pictures at their times, and a sound of the same length.
  void ExpectTimes(const std::filesystem::path& path, const std::vector<StreamEvent>& sent) {
    std::vector<double> wanted;
    for (size_t i = 0; i < sent.size(); ++i) {
      if (!sent[i].repeated) wanted.push_back(static_cast<double>(i) / kFps.value());
    }
    EXPECT_THAT(Times(path), testing::Pointwise(testing::DoubleNear(1e-4), wanted));
    const double seconds = static_cast<double>(sent.size()) / kFps.value();
    EXPECT_NEAR(std::stod(Probe(path, "v", "stream=duration")), seconds, 1e-3);
    EXPECT_NEAR(std::stod(Probe(path, "a", "stream=duration")), seconds, 1e-3);
  }
  /// A frame that was late on a busy machine has no picture of its own.
  void ExpectPictures(const RecordingInfo& info, const TestClient& client) {
    const auto sent = Sent(client, info.frames);
    EXPECT_EQ(static_cast<int64_t>(Times(FileOf(info.id)).size()),
              std::ranges::count(sent, false, &StreamEvent::repeated));
  }
  std::string TrackBytes(const std::filesystem::path& path) const {
    const auto out = folder_.path() / "track";
    media::test::Run("ffmpeg -v error -y -i " + media::test::Quoted(path) +
                     " -map 0:v -c copy -f data " + media::test::Quoted(out));
    std::string bytes = avatar::ReadFile(out);
    std::filesystem::remove(out);
    return bytes;
  }

  pipeline::Watchdog watchdog_;
  TempFolder folder_;
  HoldingLog log_;
  FakeClock clock_;
  pipeline::CountingMetrics metrics_;
  RecordingsOptions options_;
  std::unique_ptr<Recordings> recordings_;  // outlives the streams
  std::unique_ptr<TestStand> stand_;
  size_t from_ = 0;
};

TEST_F(RecordingsTest, H264IsTheAccessUnitsThatTheClientGotInEitherForm) {
  for (const auto codec : {PictureCodec::kH264Avcc, PictureCodec::kH264AnnexB}) {
    const auto client = Open(codec);
    ASSERT_TRUE(client->Say(1, Speech(2 * kSecond)));
    const std::string id = Begin(*client);
    ASSERT_TRUE(ReadRecorded(*client, id, 110));
    const RecordingInfo info = Stopped(id);
    EXPECT_EQ(info.session, client->stream_->id());
    EXPECT_EQ(info.avatar, "1");
    const auto path = FileOf(id);
    EXPECT_EQ(info.bytes, static_cast<int64_t>(std::filesystem::file_size(path)));
    const auto sent = Sent(*client, info.frames);
    std::string pictures;
    for (const StreamEvent& frame : sent) {
      const auto* bytes = reinterpret_cast<const uint8_t*>(frame.picture.data());
      const auto unit = codec == PictureCodec::kH264Avcc
                            ? std::vector<uint8_t>(bytes, bytes + frame.picture.size())
                            : media::AvccOfAnnexB({bytes, frame.picture.size()});
      pictures.append(unit.begin(), unit.end());
    }
    EXPECT_TRUE(TrackBytes(path) == pictures);
    ExpectTimes(path, sent);
    // Whole and in order: a decoder finds nothing to complain about.
    EXPECT_EQ(media::test::Run("ffmpeg -v error -i " + media::test::Quoted(path) + " -f null -"),
              "");
  }
}

TEST_F(RecordingsTest, OtherPicturesAreEncodedAndLookTheSame) {
  for (const auto codec : {PictureCodec::kJpeg, PictureCodec::kPng, PictureCodec::kBgr,
                           PictureCodec::kRgba, PictureCodec::kI420}) {
    const auto client = Open(codec);
    ASSERT_TRUE(client->Say(1, Speech(kSecond)));
    const std::string id = Begin(*client);
    ASSERT_TRUE(ReadRecorded(*client, id, 30));
    const RecordingInfo info = Stopped(id);
    const auto path = FileOf(id);
    const auto sent = Sent(*client, info.frames);
    EXPECT_EQ(static_cast<int64_t>(Times(path).size()), info.frames);
    EXPECT_NEAR(std::stod(Probe(path, "a", "stream=duration")),
                static_cast<double>(info.frames) / kFps.value(), 1e-3);
    if (codec != PictureCodec::kJpeg && codec != PictureCodec::kPng) continue;
    auto movie = media::OpenVideoDecoder({path, nullptr});
    ASSERT_TRUE(movie.ok()) << movie.status().ToString();
    for (size_t i = 0; i < sent.size(); i += 7) {
      if (sent[i].repeated) continue;
      const auto* bytes = reinterpret_cast<const uint8_t*>(sent[i].picture.data());
      const auto wanted = media::DecodeImage({bytes, sent[i].picture.size()});
      const auto found = (*movie)->Decode(static_cast<int64_t>(i));
      ASSERT_TRUE(wanted.ok() && found.ok());
      double off = 0;  // of the luma: noise pictures, whose colours 4:2:0 cannot hold
      for (int y = 0; y < wanted->height(); ++y) {
        for (int x = 0; x < wanted->width(); ++x) {
          const uint8_t* pixel = wanted->data() + (y * wanted->width() + x) * 3;
          const int luma = media::test::ToBt709({pixel[0], pixel[1], pixel[2]}).y;
          off += std::abs(luma - found->data()[y * found->width() + x]);
        }
      }
      EXPECT_LT(off / (wanted->width() * wanted->height()), 6) << i;
    }
  }
}

TEST_F(RecordingsTest, AClearInsideItIsRecordedAsTheClientSawIt) {
  const auto client = Open();
  ASSERT_TRUE(client->Say(1, Speech(2 * kSecond)));
  const std::string id = Begin(*client);
  ASSERT_TRUE(ReadRecorded(*client, id, 80));
  ASSERT_TRUE(client->Send(ClearAs(1)));
  ASSERT_TRUE(client->Say(2, Speech(kSecond, 2)));
  ASSERT_TRUE(ReadRecorded(*client, id, 200));
  const RecordingInfo info = Stopped(id);
  EXPECT_EQ(client->Of(Kind::kCleared).size(), 1u);
  const auto sent = Sent(*client, info.frames);
  std::string pictures;
  for (const StreamEvent& frame : sent) pictures += frame.picture;
  const auto path = FileOf(id);
  EXPECT_TRUE(TrackBytes(path) == pictures);
  ExpectTimes(path, sent);
  EXPECT_EQ(media::test::Run("ffmpeg -v error -i " + media::test::Quoted(path) + " -f null -"), "");
}

TEST_F(RecordingsTest, WhatWasRecordedIsKeptWhenTheSessionIsLost) {
  auto client = Open();
  const std::string id = Begin(*client);
  ASSERT_TRUE(ReadRecorded(*client, id, 30));
  EXPECT_TRUE(client->stream_->tapped());
  client->stream_->Cancel(Status(Code::kCancelled, "the client left"));
  client->stream_.reset();
  const RecordingInfo info = Await(id);
  EXPECT_EQ(info.state, RecordingState::kDone);
  EXPECT_EQ(info.ended_by, RecordingEnd::kSession);
  EXPECT_EQ(info.message, "the session ended: the client left");
  ExpectPictures(info, *client);
  stand_->WaitUntilAllAreGone();
}

TEST_F(RecordingsTest, OneThatIsLongEnoughEndsAndTheNextOneIsAFileOfItsOwn) {
  options_.length = std::chrono::seconds(1);
  const auto client = Open();
  const std::string first = Begin(*client);
  ASSERT_TRUE(ReadRecorded(*client, first, 100));
  const RecordingInfo info = Await(first);
  EXPECT_EQ(info.state, RecordingState::kDone);
  EXPECT_EQ(info.ended_by, RecordingEnd::kLength);
  EXPECT_THAT(info.message, HasSubstr("recordings.max_seconds"));
  EXPECT_EQ(info.frames, 100);
  EXPECT_FALSE(client->stream_->tapped());
  const std::string second = Begin(*client);
  ASSERT_TRUE(ReadRecorded(*client, second, 20));
  const RecordingInfo next = Stopped(second);
  EXPECT_NE(FileOf(first), FileOf(second));
  ExpectTimes(FileOf(second), Sent(*client, next.frames));
  EXPECT_EQ(metrics_.count("recordings_total{state=\"done\"}"), 2);
}

TEST_F(RecordingsTest, AFullShareOfTheDiskEndsItWithAWholeFileAndTheOldestMakesRoom) {
  options_.disk_bytes = 400 << 10;
  const auto client = Open(PictureCodec::kH264Avcc);
  const std::string first = Begin(*client);
  ASSERT_TRUE(client->ReadUntil([&] { return !client->stream_->tapped(); }));
  const RecordingInfo info = Await(first);
  EXPECT_EQ(info.state, RecordingState::kDone) << info.status.ToString();
  EXPECT_EQ(info.ended_by, RecordingEnd::kDisk);
  EXPECT_THAT(info.message, HasSubstr("recordings.disk_mb"));
  EXPECT_LE(info.bytes, options_.disk_bytes);
  ExpectPictures(info, *client);
  // One that is being read stays; then it goes for the next.
  auto read = recordings().File(first);
  const std::string refused = Begin(*client);
  ASSERT_TRUE(client->ReadUntil([&] { return !client->stream_->tapped(); }));
  EXPECT_EQ(Await(refused).ended_by, RecordingEnd::kDisk);
  EXPECT_TRUE(recordings().Get(first).ok());
  read = Status(Code::kCancelled, "read to its end");
  const std::string second = Begin(*client);
  ASSERT_TRUE(ReadRecorded(*client, second, 20));
  Stopped(second);
  EXPECT_EQ(recordings().Get(first).status().code(), Code::kNotFound);
}

TEST_F(RecordingsTest, AQueueThatIsFullEndsTheRecordingAndNotTheSession) {
  options_.queue_seconds = 1;
  auto one = Open(), two = Open();
  const std::string first = Begin(*one);
  ASSERT_TRUE(ReadRecorded(*one, first, 10));
  const std::string second = Begin(*two);
  ASSERT_TRUE(ReadRecorded(*two, second, 10));
  const auto client = Open();
  log_.gate_.Close();  // and nobody writes
  ASSERT_TRUE(recordings().Stop(first).ok() && recordings().Stop(second).ok());
  log_.gate_.AwaitWaiting(2);
  const std::string id = Begin(*client);
  ASSERT_TRUE(client->ReadUntil([&] { return !client->stream_->tapped(); }));
  ASSERT_TRUE(Read(*client, 10));  // on it goes
  EXPECT_FALSE(client->stream_->over());
  log_.gate_.Open();
  const RecordingInfo info = Await(id);
  EXPECT_EQ(info.ended_by, RecordingEnd::kSlow);
  EXPECT_THAT(info.message, HasSubstr("behind the session"));
  EXPECT_EQ(info.state, RecordingState::kDone);
  EXPECT_EQ(info.frames, 100);
  ExpectTimes(FileOf(id), Sent(*client, 100));
}

TEST_F(RecordingsTest, RefusalsSayWhy) {
  options_.running = 2;
  const auto client = Open(), other = Open(), third = Open();
  TestClient file(stand_->Open(FilePace(PictureCodec::kH264Avcc)));
  const auto why = [&](TestClient& whose) {
    const Status status = recordings().Begin(*whose.stream_).status();
    EXPECT_THAT(status.message(), Not(HasSubstr("\n")));
    return status;
  };
  EXPECT_EQ(why(file).code(), Code::kFailedPrecondition);
  const std::string id = Begin(*client);
  EXPECT_EQ(why(*client).code(), Code::kAlreadyExists);
  Begin(*other);
  EXPECT_EQ(why(*third).code(), Code::kResourceExhausted);
  EXPECT_THAT(why(*third).message(), HasSubstr("recordings.running"));
  EXPECT_EQ(recordings().File(id).status().code(), Code::kFailedPrecondition);
  EXPECT_EQ(recordings().Get("nobody").status().code(), Code::kNotFound);
  EXPECT_EQ(recordings().active(), 2);
  third->stream_->Cancel(Status(Code::kCancelled, "gone"));
  third->ReadToTheEnd();
  ASSERT_TRUE(ReadRecorded(*client, id, 10));
  Stopped(id);
  EXPECT_EQ(why(*third).code(), Code::kFailedPrecondition);
  recordings().Drain();
  EXPECT_EQ(why(*client).code(), Code::kUnavailable);
}

TEST_F(RecordingsTest, ADrainEndsThoseUnderWayAndTheirFilesAreThere) {
  const auto client = Open();
  const std::string id = Begin(*client);
  ASSERT_TRUE(ReadRecorded(*client, id, 20));
  recordings().Drain();
  const RecordingInfo info = Await(id);
  EXPECT_EQ(info.state, RecordingState::kDone);
  EXPECT_EQ(info.ended_by, RecordingEnd::kDrain);
  EXPECT_EQ(info.message, "the server is shutting down");
  ExpectPictures(info, *client);
  EXPECT_EQ(recordings().active(), 0);
}

TEST_F(RecordingsTest, OneThatEndsBeforeItsFirstKeyFrameFailsAndSaysSo) {
  const auto client = Open();
  const std::string id = Begin(*client);
  ASSERT_TRUE(recordings().Stop(id).ok());
  const RecordingInfo info = Await(id);
  EXPECT_EQ(info.state, RecordingState::kFailed);
  EXPECT_THAT(info.status.message(), HasSubstr("nothing was recorded"));
  EXPECT_THAT(recordings().File(id).status().message(), HasSubstr("the recording failed: "));
  EXPECT_TRUE(FilesLeft().empty());
}

TEST_F(RecordingsTest, WithoutSoundInItsFramesItIsASilentFilmAndSaysSo) {
  const auto client = Open(PictureCodec::kJpeg, SoundOut::kNone);
  const std::string id = Begin(*client);
  ASSERT_TRUE(ReadRecorded(*client, id, 20));
  EXPECT_THAT(Stopped(id).warnings, testing::ElementsAre(HasSubstr("no sound")));
  EXPECT_EQ(Probe(FileOf(id), "", "stream=codec_type"), "video");
}

TEST_F(RecordingsTest, FilesGoWhenTheyAreRemovedTooOldOrTooMany) {
  options_.ended = 2;
  const auto client = Open();
  const std::string removed = Begin(*client);
  ASSERT_TRUE(ReadRecorded(*client, removed, 10));
  ASSERT_TRUE(recordings().Remove(removed).ok());
  EXPECT_EQ(recordings().Get(removed).status().code(), Code::kNotFound);
  EXPECT_FALSE(client->stream_->tapped());
  while (recordings().active() > 0 || !FilesLeft().empty()) std::this_thread::yield();

  std::vector<std::string> ids;
  for (int i = 0; i < 3; ++i) {
    ids.push_back(Begin(*client));
    ASSERT_TRUE(ReadRecorded(*client, ids.back(), 10));
    Stopped(ids.back());
  }
  while (FilesLeft().size() > 2) std::this_thread::yield();
  EXPECT_FALSE(recordings().Get(ids[0]).ok());
  EXPECT_EQ(FileOf(ids[2]).extension(), ".mp4");
  ASSERT_TRUE(recordings().Remove(ids[1]).ok());
  EXPECT_EQ(FilesLeft(), std::vector<std::string>{ids[2] + ".mp4"});
  clock_.Advance(options_.keep - std::chrono::seconds(1));
  recordings().Tidy();
  EXPECT_TRUE(recordings().Get(ids[2]).ok());
  clock_.Advance(std::chrono::seconds(1));
  recordings().Tidy();
  EXPECT_FALSE(recordings().Get(ids[2]).ok());
  EXPECT_TRUE(FilesLeft().empty());
}

}  // namespace
}  // namespace lipcast::server
