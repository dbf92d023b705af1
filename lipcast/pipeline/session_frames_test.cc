// Which frames a session gives, what they show and which sound goes with them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <set>

#include "lipcast/imaging/colour.h"
#include "lipcast/pipeline/test_stage.h"

namespace lipcast::pipeline {
namespace {

using audio::SampleType;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;

const Rational kRates[] = {{1, 1},  {10, 1},       {25, 2}, {24, 1},
                           {25, 1}, {30000, 1001}, {60, 1}, {120, 1}};

SessionOptions At(const Rational& fps) {
  SessionOptions options;
  options.fps = fps;
  return options;
}

TEST(SessionFrames, AreTheDurationTimesTheRateRoundedUp) {
  TestStage stage;
  const auto avatar = stage.Load();
  for (int64_t samples : {0, 1, 640, 1600, 3199, 3200, 3201, 96000, 107240}) {
    for (const Rational& fps : kRates) {
      auto session = stage.Open(avatar, At(fps));
      const auto audio = Speech(samples);
      const Played played = Play(*session, audio, 6400);
      const double exact = static_cast<double>(samples) / 16000 * fps.value();
      EXPECT_TRUE(played.status.ok()) << played.status.ToString();
      EXPECT_EQ(played.frames.size(), static_cast<size_t>(std::ceil(exact - 1e-9)))
          << samples << " samples at " << fps.ToString();
      EXPECT_TRUE(played.sound == audio) << samples << " samples at " << fps.ToString();
      for (size_t i = 0; i < played.frames.size(); ++i) {
        ASSERT_EQ(played.frames[i].index, static_cast<int64_t>(i));
      }
      EXPECT_EQ(session->total_frames(), static_cast<int64_t>(played.frames.size()));
    }
  }
}

TEST(SessionFrames, CarryTheSoundOfTheirTimeAtEveryRateAndFormat) {
  TestStage stage;
  const auto avatar = stage.Load();
  const audio::AudioFormat formats[] = {
      {8000, 1, SampleType::kMulaw}, {22050, 2, SampleType::kS16}, {44100, 1, SampleType::kS24},
      {48000, 6, SampleType::kS16},  {96000, 2, SampleType::kF32}, {192000, 8, SampleType::kF64},
      {11025, 1, SampleType::kU8},   {16000, 3, SampleType::kAlaw}};
  for (const audio::AudioFormat& format : formats) {
    for (const Rational& fps : kRates) {
      SCOPED_TRACE(std::to_string(format.rate_hz) + " Hz at " + fps.ToString());
      const int64_t samples = format.rate_hz * 21 / 20 + 1;
      // Bytes that are numbers in every format: floats of random bits would warn.
      auto audio = Noise(static_cast<size_t>(samples * format.frame_bytes()));
      if (format.type == SampleType::kF32 || format.type == SampleType::kF64) {
        const size_t bytes = static_cast<size_t>(SampleBytes(format.type));
        for (size_t i = bytes - 1; i < audio.size(); i += bytes) audio[i] = std::byte{0x3E};
      }
      SessionOptions options = At(fps);
      options.format = format;
      auto session = stage.Open(avatar, options);
      int64_t sample = 0;
      const Played played = Play(*session, audio, 5000, [&](const Frame& frame) {
        EXPECT_EQ(sample, FirstSample(frame.index, format.rate_hz, fps));
        sample += static_cast<int64_t>(frame.sound.size()) / format.frame_bytes();
        EXPECT_EQ(sample, std::min(samples, FirstSample(frame.index + 1, format.rate_hz, fps)));
      });
      EXPECT_EQ(static_cast<int64_t>(played.frames.size()),
                FramesFor(samples, format.rate_hz, fps));
      EXPECT_TRUE(played.sound == audio);
      EXPECT_THAT(played.log, ElementsAre("started 1", "finished 1 at " + std::to_string(samples)));
    }
  }
}

TEST(SessionFrames, TheTimelineIsExactAfter24Hours) {
  for (int64_t rate_hz : {8000, 11025, 22050, 44100, 48000, 96000, 192000}) {
    for (const Rational& fps : kRates) {
      const int64_t day = static_cast<int64_t>(86400 * fps.value());
      for (int64_t frame = day; frame < day + 3000; ++frame) {
        const int64_t sample = FirstSample(frame, rate_hz, fps);
        ASSERT_EQ(FramesFor(sample, rate_hz, fps), frame) << rate_hz << " " << fps.ToString();
        ASSERT_EQ(FramesFor(sample + 1, rate_hz, fps), frame + 1);
        // Never more than one sample from the true time.
        const Int128 error = static_cast<Int128>(frame) * rate_hz * fps.den -  //
                             static_cast<Int128>(sample) * fps.num;
        ASSERT_TRUE(error >= 0 && error < fps.num);
        ASSERT_EQ(MapFrame(frame, fps, fps), frame);
      }
    }
  }
}

TEST(SessionFrames, AreTheSameInAnyPieces) {
  TestStage stage;
  const auto avatar = stage.Load();
  const auto audio = Speech(3 * 16000 + 123) + Silence(16000) + Speech(9000, 2);
  for (const Rational& fps : {Rational{25, 1}, Rational{30000, 1001}}) {
    const Played whole = Play(*stage.Open(avatar, At(fps)), audio);
    ASSERT_EQ(std::set(
                  whole.frames.begin(), whole.frames.end(),
                  [](const Shown& a, const Shown& b) {
                    return a.hash < b.hash;
                  }).size() > 60,
              true);
    for (size_t piece : {640, 20480, 37, 1, 2}) {
      const Played pieces = Play(*stage.Open(avatar, At(fps)), audio, piece);
      EXPECT_EQ(pieces.frames, whole.frames) << piece;
      EXPECT_TRUE(pieces.sound == whole.sound);
    }
  }
}

TEST(SessionFrames, AreTheSameAtAnyBatchAndOnAnyNumberOfWorkers) {
  const auto audio = Speech(2 * 16000 + 77) + Silence(16000) + Speech(5000, 2);
  std::vector<Shown> want;
  for (int workers : {1, 2, 3, 8}) {
    StageOptions stage_options;
    stage_options.workers = workers;
    TestStage stage(stage_options);
    const auto avatar = stage.Load();
    for (int batch : {1, 2, 3, 7, 16, 25, 32}) {
      SessionOptions options = At({60, 1});
      options.batch = batch;
      const Played played = Play(*stage.Open(avatar, options), audio, 3000);
      if (want.empty()) want = played.frames;  // one worker, one at a time: sequential
      EXPECT_EQ(played.frames, want) << workers << " workers, batch " << batch;
    }
  }
  EXPECT_EQ(want.size(), 200);
}

TEST(SessionFrames, ASlowWriterGetsItsFramesAtAnyBatch) {
  TestStage stage;
  const auto avatar = stage.Load();
  SessionOptions options;
  options.batch = 32;
  auto session = stage.Open(avatar, options);
  // 1 s of audio and no more: what can be drawn of it must come although no batch gets full.
  ASSERT_TRUE(session->Audio(1, Speech(16000)).ok());
  Played played;
  // A frame is final 0.45 s of audio after its time.
  while (played.frames.size() < 14) ASSERT_TRUE(ReadOne(*session, &played));
  session->Cancel(Status(Code::kCancelled, "done"));
}

TEST(SessionFrames, ContextCarriesOverEverySecondBatchAndUtterance) {
  // A tone of 400 Hz has 5 whole periods in a mel hop: inside it every mel frame is the same, so
  // every mouth must be, unless context starts anew somewhere.
  std::vector<std::byte> tone(2 * 100 * 640);
  for (size_t s = 0; s < tone.size() / 2; ++s) {
    const auto value = static_cast<int16_t>(
        std::lround(12000 * std::sin(2 * 3.14159265358979 * static_cast<double>(s % 40) / 40)));
    std::memcpy(tone.data() + 2 * s, &value, 2);
  }
  TestStage stage;
  StageAvatar still;
  still.frames = 1;
  const auto avatar = stage.Load(still);
  for (int batch : {1, 25}) {
    SessionOptions options;
    options.batch = batch;
    const Played whole = Play(*stage.Open(avatar, options), tone);
    ASSERT_EQ(whole.frames.size(), 100);
    for (size_t i = 15; i < 89; ++i) {  // frame 89 looks past the end
      EXPECT_EQ(whole.frames[i].hash, whole.frames[15].hash) << "frame " << i;
    }
    auto session = stage.Open(avatar, options);
    for (uint64_t id = 1; id <= 4; ++id) {
      const auto part = std::span(tone).subspan((id - 1) * 2 * 16000, 2 * 16000);
      ASSERT_TRUE(session->Audio(id, part).ok());
      ASSERT_TRUE(session->End(id).ok());
    }
    ASSERT_TRUE(session->Finish().ok());
    EXPECT_EQ(ReadAll(*session).hashes(), whole.hashes());
  }
}

TEST(SessionFrames, SilenceShowsTheSourceToTheBitAndRunsNoInference) {
  StageOptions stage_options;
  const auto runs = stage_options.generator.counts;
  TestStage stage(stage_options);
  for (PixelFormat format : {PixelFormat::kI420, PixelFormat::kBgra32}) {
    StageAvatar look;
    look.format = format;
    const auto avatar = stage.Load(look);
    const int64_t before = runs->runs;
    SessionOptions options;
    options.pixels = format == PixelFormat::kI420 ? PixelFormat::kI420 : PixelFormat::kBgr24;
    auto session = stage.Open(avatar, options);
    const Played played = Play(*session, Silence(2 * 16000), 1000, [&](const Frame& frame) {
      const auto source = *avatar->avatar->Frame(frame.background);
      auto want = *Picture::Create(options.pixels, look.width, look.height);
      if (format == PixelFormat::kI420) {
        CopyPicture(source->view(), want.mutable_view());
      } else {
        imaging::BgraToBgr(source->view(), want.mutable_view());
      }
      EXPECT_EQ(HashOf(frame.picture), HashOf(want.view())) << frame.index;
      EXPECT_FALSE(frame.speaking);
    });
    EXPECT_EQ(played.frames.size(), 50);
    EXPECT_EQ(runs->runs, before);
    EXPECT_EQ(session->times().calls(Stage::kAudioEncoder), 0);
    EXPECT_EQ(session->counts().generated, 0);
  }
}

TEST(SessionFrames, IdleModelDrawsSilenceToo) {
  TestStage stage;
  SessionOptions options;
  options.idle = Idle::kModel;
  auto session = stage.Open(stage.Load(), options);
  for (const Shown& shown : Play(*session, Silence(16000)).frames) EXPECT_TRUE(shown.speaking);
  EXPECT_EQ(session->counts().generated, 25);
}

TEST(SessionFrames, TheMouthBlendsInAndOutOfSpeechWithoutAJump) {
  // The model's mouth is white and the source is noise: how white the box is shows the weight.
  StageOptions stage_options;
  stage_options.generator = FlatGenerator(1);
  TestStage stage(stage_options);
  StageAvatar look;
  look.frames = 1;
  SessionOptions options;
  options.pixels = PixelFormat::kBgr24;
  const auto avatar = stage.Load(look);
  std::vector<double> white;
  const auto measure = [&](const Frame& frame) {
    double sum = 0;
    for (int y = 14; y < 34; ++y) {
      for (int x = 18; x < 38; ++x) {
        sum += frame.picture.plane[0][y * frame.picture.stride[0] + 3 * x];
      }
    }
    white.push_back(sum / 400);
  };
  Play(*stage.Open(avatar, options), Silence(16000) + Speech(16000) + Silence(16000), SIZE_MAX,
       measure);
  ASSERT_EQ(white.size(), 75);
  EXPECT_GT(white[37], 253);
  EXPECT_LT(white[0], 200);
  const double step = (white[37] - white[0]) / 5;
  for (size_t i = 1; i < white.size(); ++i) {
    EXPECT_LE(std::abs(white[i] - white[i - 1]), step + 1.5) << "frame " << i;
  }
  EXPECT_GT(white[25], 253);  // speech begins at frame 25 with the whole mouth
  EXPECT_EQ(white[54], white[0]) << "0.2 s after speech the source is back";
}

TEST(SessionFrames, TheBackgroundMovesByExactlyOneThroughSilenceAndSpeech) {
  TestStage stage;
  StageAvatar look;
  look.frames = 100;
  const Played played = Play(*stage.Open(stage.Load(look)),
                             Speech(16000) + Silence(16000) + Speech(16000, 2) + Silence(9000));
  for (size_t i = 0; i < played.frames.size(); ++i) {
    EXPECT_EQ(played.frames[i].background, static_cast<int64_t>(i));
  }
}

TEST(SessionFrames, TheBackgroundIsMappedByTimeNotByCount) {
  struct Case {
    Rational avatar, output;
    std::vector<int64_t> want;
  };
  const Case cases[] = {
      {{30, 1}, {25, 1}, {0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 12}},
      {{20, 1}, {25, 1}, {0, 0, 1, 2, 3, 4, 4, 5, 6, 7, 8}},
      {{25, 1}, {60, 1}, {0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 4}},
      {{24, 1}, {30000, 1001}, {0, 0, 1, 2, 3, 4, 4, 5, 6, 7, 8}},
      {{25, 1}, {10, 1}, {0, 2, 5, 7, 10, 12, 15, 17, 20, 22, 25}},
  };
  TestStage stage;
  for (const Case& c : cases) {
    StageAvatar look;
    look.fps = c.avatar;
    look.frames = 200;
    const auto avatar = stage.Load(look);
    const int64_t samples = FirstSample(11, 16000, c.output);
    for (const auto& audio : {Speech(samples), Silence(samples)}) {
      EXPECT_EQ(Play(*stage.Open(avatar, At(c.output)), audio).backgrounds(), c.want)
          << c.avatar.ToString() << " -> " << c.output.ToString();
    }
  }
}

TEST(SessionFrames, TheMouthIsMappedByTimeToo) {
  TestStage stage;
  StageAvatar still;
  still.frames = 1;
  const auto avatar = stage.Load(still);
  const auto audio = Speech(2 * 16000);
  const auto at25 = Play(*stage.Open(avatar, At({25, 1})), audio).hashes();
  for (const Rational& fps : {Rational{10, 1}, Rational{30, 1}, Rational{60, 1}}) {
    const auto hashes = Play(*stage.Open(avatar, At(fps)), audio).hashes();
    for (size_t i = 0; i < hashes.size(); ++i) {
      const int64_t model = MapFrame(static_cast<int64_t>(i), fps, {25, 1});
      EXPECT_EQ(hashes[i], at25[static_cast<size_t>(model)]) << fps.ToString() << " frame " << i;
    }
  }
}

TEST(SessionFrames, SpeechLongerThanTheAvatarGoesOnInItsOrder) {
  TestStage stage;
  StageAvatar look;
  look.frames = 4;
  const std::pair<std::string, std::vector<int64_t>> orders[] = {
      {"loop", {0, 1, 2, 3, 0, 1, 2, 3, 0}},
      {"bounce", {0, 1, 2, 3, 2, 1, 0, 1, 2}},
      {"hold", {0, 1, 2, 3, 3, 3, 3, 3, 3}}};
  for (const auto& [order, want] : orders) {
    look.order = order;
    EXPECT_EQ(Play(*stage.Open(stage.Load(look)), Speech(9 * 640)).backgrounds(), want);
  }
}

TEST(SessionFrames, TheStartFrameIsAnyFrom0To2147483647) {
  TestStage stage;
  const auto avatar = stage.Load();  // ten frames in a loop
  SessionOptions options;
  options.start_frame = 7;
  EXPECT_THAT(Play(*stage.Open(avatar, options), Speech(5 * 640)).backgrounds(),
              ElementsAre(7, 8, 9, 0, 1));
  options.start_frame = 2147483647;
  EXPECT_THAT(Play(*stage.Open(avatar, options), Speech(5 * 640)).backgrounds(),
              ElementsAre(7, 8, 9, 0, 1));
  for (int64_t start : {int64_t{-1}, int64_t{2147483648}, INT64_MIN, INT64_MAX}) {
    options.start_frame = start;
    const auto refused = stage.engine().Open(avatar, options);
    EXPECT_EQ(refused.status().code(), Code::kInvalidArgument);
    EXPECT_EQ(refused.status().message(),
              "start_frame = " + std::to_string(start) + ": want 0..2147483647");
  }
}

TEST(SessionFrames, FramesWithoutAFacePassUntouched) {
  TestStage stage;
  StageAvatar look;
  look.no_face = {3, 4};
  const auto avatar = stage.Load(look);
  for (int batch : {1, 8}) {
    SessionOptions options;
    options.batch = batch;
    auto session = stage.Open(avatar, options);
    Play(*session, Speech(20 * 640), SIZE_MAX, [&](const Frame& frame) {
      const bool face = frame.background != 3 && frame.background != 4;
      EXPECT_EQ(frame.speaking, face) << frame.index;
      const bool same =
          HashOf(frame.picture) == HashOf((*avatar->avatar->Frame(frame.background))->view());
      EXPECT_EQ(same, !face) << frame.index;
    });
    EXPECT_EQ(session->counts().generated, 16);
  }
}

TEST(SessionFrames, OutsideTheMouthTheSourceIsUntouched) {
  TestStage stage;
  StageAvatar look;
  const auto avatar = stage.Load(look);
  Play(*stage.Open(avatar), Speech(16000), SIZE_MAX, [&](const Frame& frame) {
    const auto source = *avatar->avatar->Frame(frame.background);
    for (int y = 0; y < look.height; ++y) {
      for (int x = 0; x < look.width; ++x) {
        const bool inside =
            x >= kStageBox.x0 && x < kStageBox.x1 && y >= kStageBox.y0 && y < kStageBox.y1;
        if (inside) continue;
        ASSERT_EQ(frame.picture.plane[0][y * look.width + x],
                  source->view().plane[0][y * look.width + x]);
      }
    }
  });
}

TEST(SessionFrames, AnotherOutputSizeIsTheScaledPicture) {
  TestStage stage;
  const auto avatar = stage.Load();
  const auto audio = Speech(10 * 640) + Silence(10 * 640);
  std::vector<Picture> full;
  Play(*stage.Open(avatar), audio, SIZE_MAX, [&](const Frame& frame) {
    full.push_back(*Picture::Create(PixelFormat::kI420, 64, 48));
    CopyPicture(frame.picture, full.back().mutable_view());
  });
  SessionOptions options;
  options.width = 33;
  options.height = 91;
  options.batch = 8;
  imaging::Scratch scratch;
  Play(*stage.Open(avatar, options), audio, SIZE_MAX, [&](const Frame& frame) {
    auto want = *Picture::Create(PixelFormat::kI420, 33, 91);
    ASSERT_TRUE(imaging::ResizePicture(full[static_cast<size_t>(frame.index)].view(),
                                       want.mutable_view(), scratch)
                    .ok());
    EXPECT_EQ(HashOf(frame.picture), HashOf(want.view())) << frame.index;
  });
}

TEST(SessionFrames, ReferenceEdgesMakeTheReferencesCountAndRefuseShortAudio) {
  TestStage stage;
  const auto avatar = stage.Load();
  SessionOptions options;
  options.edges = Edges::kReference;
  options.idle = Idle::kModel;
  // T = 16, 81, 1674.
  for (auto [samples, frames] : {std::pair{3000, 2}, {16000, 22}, {334600, 520}}) {
    const Played played = Play(*stage.Open(avatar, options), Speech(samples));
    EXPECT_EQ(played.frames.size(), static_cast<size_t>(frames)) << samples;
    EXPECT_EQ(played.log.size(), 2);
  }
  const Played refused = Play(*stage.Open(avatar, options), Speech(2999));
  EXPECT_EQ(refused.status.code(), Code::kInvalidArgument);
  EXPECT_THAT(refused.status.message(), HasSubstr("3000"));
}

TEST(SessionFrames, ReferenceEdgesAndSilenceEdgesAgreeInside) {
  TestStage stage;
  const auto avatar = stage.Load();
  SessionOptions options;
  options.idle = Idle::kModel;
  const auto audio = Speech(3 * 16000);
  const auto ours = Play(*stage.Open(avatar, options), audio).hashes();
  options.edges = Edges::kReference;
  const auto theirs = Play(*stage.Open(avatar, options), audio).hashes();
  for (size_t i = 0; i + 10 < theirs.size(); ++i) EXPECT_EQ(theirs[i], ours[i]) << i;
}

TEST(SessionFrames, EveryWrongOptionIsRefusedByName) {
  TestStage stage;
  const auto avatar = stage.Load();
  const auto refused = [&](const auto& change) {
    SessionOptions options;
    change(options);
    const auto session = stage.engine().Open(avatar, options);
    EXPECT_EQ(session.status().code(), Code::kInvalidArgument);
    return session.status().message();
  };
  using O = SessionOptions;
  EXPECT_EQ(refused([](O& o) { o.batch = 0; }), "batch = 0: want 1..32");
  EXPECT_EQ(refused([](O& o) { o.batch = 33; }), "batch = 33: want 1..32");
  EXPECT_EQ(refused([](O& o) { o.fps = {121, 1}; }), "fps = 121: want 1..120");
  EXPECT_EQ(refused([](O& o) { o.fps = {1, 2}; }), "fps = 1/2: want 1..120");
  EXPECT_EQ(refused([](O& o) { o.fps = {1, 0}; }), "fps = 1/0: want 1..120");
  EXPECT_EQ(refused([](O& o) { o.fps = {-25, -1}; }), "fps = -25/-1: want 1..120");
  EXPECT_THAT(refused([](O& o) { o.fps = {INT64_MAX, INT64_MAX / 30}; }), HasSubstr("want 1..120"));
  EXPECT_EQ(refused([](O& o) { o.width = 0; }), "output side = 0: want 1..8192");
  EXPECT_EQ(refused([](O& o) { o.height = 8193; }), "output side = 8193: want 1..8192");
  EXPECT_THAT(refused([](O& o) { o.pixels = PixelFormat::kGray8; }), HasSubstr("bgr24 or i420"));
  EXPECT_THAT(refused([](O& o) { o.silence_dbfs = NAN; }), HasSubstr("silence_dbfs = nan"));
  EXPECT_THAT(refused([](O& o) { o.silence_dbfs = 1; }), HasSubstr("want -200..0"));
  EXPECT_THAT(refused([](O& o) { o.format.rate_hz = 7999; }), HasSubstr("8000..192000"));
}

}  // namespace
}  // namespace lipcast::pipeline
