#include "lipcast/audio/mel_stream.h"

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <cmath>
#include <cstdlib>
#include <new>
#include <thread>

#include "lipcast/audio/mel_reference.h"
#include "lipcast/audio/test_signals.h"

namespace {
thread_local int64_t allocations_of_this_thread = 0;
}  // namespace

// Counts what the tested code allocates; the sanitizers' own operators are left alone. Inlined, g++
// would see malloc answered by delete.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
[[gnu::noinline]] void* operator new(size_t bytes) {
  ++allocations_of_this_thread;
  if (void* memory = std::malloc(bytes)) return memory;
  std::abort();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }
#endif

namespace lipcast::audio {
namespace {

using Frames = std::vector<std::vector<float>>;  // [frame][band]

std::unique_ptr<MelStream> MakeStream(int capacity_frames = 1'024, const MelConfig& config = {}) {
  auto stream = MelStream::Create(config, capacity_frames);
  EXPECT_TRUE(stream.ok()) << stream.status().message();
  return *std::move(stream);
}

// Every frame of the stream that is ready; needs at least 16.
Frames AllFrames(const MelStream& stream) {
  Frames frames;
  for (int64_t start = stream.first_frame(); start + 16 <= stream.frames_ready(); ++start) {
    const auto window = stream.Window(start);
    EXPECT_TRUE(window.ok()) << window.status().message();
    const bool last = start + 16 == stream.frames_ready();
    for (int f = 0; f < (last ? 16 : 1); ++f) {
      frames.emplace_back();
      for (int b = 0; b < window->bands; ++b) frames.back().push_back(window->at(b, f));
    }
  }
  return frames;
}

Frames WholeMel(const std::vector<float>& signal, const MelConfig& config = {}) {
  auto stream = MakeStream(static_cast<int>(signal.size()) / config.hop_samples + 16, config);
  EXPECT_TRUE(stream->Push(signal).ok());
  EXPECT_TRUE(stream->Finish().ok());
  return AllFrames(*stream);
}

double WorstError(const Frames& frames, const std::vector<std::vector<double>>& want) {
  EXPECT_EQ(frames.size(), want.size());
  double worst = 0;
  for (size_t t = 0; t < std::min(frames.size(), want.size()); ++t) {
    for (size_t b = 0; b < want[t].size(); ++b) {
      worst = std::max(worst, std::abs(frames[t][b] - want[t][b]));
    }
  }
  return worst;
}

TEST(MelStream, IsWithin1e4OfLibrosaOnEveryFrameOfSpeechOnEveryTarget) {
  const std::vector<float> golden = LoadNpy("speech_mel.npy");
  for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {
    SCOPED_TRACE(hwy::TargetName(target));
    hwy::SetSupportedTargetsForTest(target);
    const Frames frames = WholeMel(LoadWav("speech.wav"));
    ASSERT_EQ(frames.size() * 80, golden.size());
    double worst = 0;
    for (size_t t = 0; t < frames.size(); ++t) {
      for (size_t b = 0; b < 80; ++b) {
        worst = std::max<double>(worst, std::abs(frames[t][b] - golden[t * 80 + b]));
      }
    }
    EXPECT_LT(worst, 1e-4);
  }
  hwy::SetSupportedTargetsForTest(0);
}

TEST(MelStream, IsWithin1e4OfTheReferenceWithBothPaddingsAndOtherShapes) {
  const std::vector<float> signal = LoadWav("speechlike.wav");
  for (const Padding padding : {Padding::kZero, Padding::kReflect}) {
    for (const int hop : {80, 200, 400}) {
      MelConfig config;
      config.padding = padding;
      config.hop_samples = hop;
      config.bands = hop == 200 ? 80 : 40;
      EXPECT_LT(WorstError(WholeMel(signal, config), MelReference(config, signal)), 1e-4)
          << config.ToString();
    }
  }
}

TEST(MelStream, APureToneIsWithin1e3DownToTheFloor) {
  std::vector<float> tone(16'000);
  for (size_t n = 0; n < tone.size(); ++n) {
    tone[n] = 0.5f * std::sin(2.0f * 3.14159265f * 440.0f * static_cast<float>(n) / 16'000.0f);
  }
  EXPECT_LT(WorstError(WholeMel(tone), MelReference({}, tone)), 1e-3);
}

TEST(MelStream, DigitalSilenceIsTheFloor) {
  for (const auto& frame : WholeMel(std::vector<float>(8'000, 0.0f))) {
    for (const float value : frame) ASSERT_EQ(value, -4.0f);
  }
}

TEST(MelStream, TheSizeOfThePiecesNeverChangesABit) {
  std::vector<float> signal = LoadWav("speech.wav");
  signal.resize(17'777);
  for (const Padding padding : {Padding::kZero, Padding::kReflect}) {
    MelConfig config;
    config.padding = padding;
    const Frames whole = WholeMel(signal, config);
    for (const size_t piece : {size_t{1}, size_t{37}, size_t{160}, size_t{200}, size_t{320},
                               size_t{640}, size_t{4'093}, size_t{10'240}}) {
      auto stream = MakeStream(128, config);
      for (size_t at = 0; at < signal.size(); at += piece) {
        const size_t count = std::min(piece, signal.size() - at);
        ASSERT_TRUE(stream->Push(std::span(signal).subspan(at, count)).ok());
      }
      ASSERT_TRUE(stream->Finish().ok());
      EXPECT_EQ(AllFrames(*stream), whole) << "pieces of " << piece;
    }
  }
}

TEST(MelStream, ALongStreamThroughASmallRingEqualsTheWholeToTheBit) {
  const std::vector<float> signal = LoadWav("speech.wav");
  const Frames whole = WholeMel(signal);
  for (const int capacity : {16, 17, 40, 100}) {
    auto stream = MakeStream(capacity);
    std::span<const float> left(signal);
    Frames frames;
    while (!stream->finished()) {
      const auto room = static_cast<size_t>(stream->SamplesAccepted());
      ASSERT_GT(room, 0u);
      const size_t count = std::min({room, left.size(), size_t{777}});
      ASSERT_TRUE(stream->Push(left.first(count)).ok());
      left = left.subspan(count);
      if (left.empty()) {
        ASSERT_TRUE(stream->Finish().ok());
      }
      // One frame is given back at a time, so that every window of the ring is looked at.
      while (stream->frames_ready() - stream->first_frame() >= 16) {
        const auto window = stream->Window(stream->first_frame());
        ASSERT_TRUE(window.ok());
        const auto start = static_cast<size_t>(stream->first_frame());
        for (size_t f = 0; f < 16; ++f) {
          for (int b = 0; b < 80; ++b) {
            ASSERT_EQ(window->at(b, static_cast<int>(f)), whole[start + f][b])
                << "capacity " << capacity << " frame " << start + f;
          }
        }
        stream->DropBefore(stream->first_frame() + 1);
      }
    }
    EXPECT_EQ(stream->frames_ready(), 161);
    EXPECT_EQ(stream->first_frame(), 161 - 15);
  }
}

TEST(MelStream, FramesAreOnePlusTheWholeHopsOfAnyLengthAndNoneOfNothing) {
  const std::vector<float> noise = Noise(4'000, 0.3f);
  for (const Padding padding : {Padding::kZero, Padding::kReflect}) {
    MelConfig config;
    config.padding = padding;
    for (const size_t samples : {0,   1,   2,   199, 200, 319, 320,   321,   399,   400,
                                 401, 599, 600, 639, 640, 800, 1'600, 3'199, 3'200, 3'201}) {
      auto stream = MakeStream(64, config);
      ASSERT_TRUE(stream->Push(std::span(noise).first(samples)).ok());
      ASSERT_TRUE(stream->Finish().ok());
      EXPECT_EQ(stream->frames_ready(), samples == 0 ? 0 : 1 + samples / 200) << samples;
      EXPECT_EQ(stream->samples_pushed(), samples);
      EXPECT_TRUE(stream->finished());
    }
  }
}

TEST(MelStream, ShortSignalsEqualTheReferenceToo) {
  for (const Padding padding : {Padding::kZero, Padding::kReflect}) {
    MelConfig config;
    config.padding = padding;
    config.hop_samples = 20;  // so that few samples make the sixteen frames of a window
    for (const size_t samples : {300, 301, 400, 401, 402, 555, 800}) {
      const std::vector<float> noise = Noise(samples, 0.3f, 5);
      EXPECT_LT(WorstError(WholeMel(noise, config), MelReference(config, noise)), 1e-4)
          << config.ToString() << ", " << samples << " samples";
    }
  }
}

TEST(MelStream, AFrameIsReadyOnceItsLastSampleIsThereAndNotBefore) {
  auto stream = MakeStream();
  const std::vector<float> noise = Noise(2'000, 0.3f);
  for (int64_t samples = 1; samples <= 2'000; ++samples) {
    ASSERT_TRUE(stream->Push(std::span(noise).subspan(samples - 1, 1)).ok());
    ASSERT_EQ(stream->frames_ready(), samples < 400 ? 0 : (samples - 400) / 200 + 1) << samples;
  }
}

TEST(MelStream, PushTakesNothingWhenItWouldOverrunWhatIsHeld) {
  const std::vector<float> signal = LoadWav("speech.wav");
  auto stream = MakeStream(32);
  EXPECT_EQ(stream->SamplesAccepted(), 6'799);
  const Status refused = stream->Push(std::span(signal).first(6'800));
  EXPECT_EQ(refused.code(), Code::kResourceExhausted);
  EXPECT_EQ(refused.message(),
            "mel stream: 6800 samples pushed, room for 6799 until frames are dropped");
  EXPECT_EQ(stream->samples_pushed(), 0);
  ASSERT_TRUE(stream->Push(std::span(signal).first(6'799)).ok());
  EXPECT_EQ(stream->frames_ready(), 32);
  EXPECT_EQ(stream->SamplesAccepted(), 0);
  EXPECT_EQ(stream->Push(std::span(signal).subspan(6'799, 1)).code(), Code::kResourceExhausted);
  stream->DropBefore(10);
  EXPECT_EQ(stream->SamplesAccepted(), 2'000);
  ASSERT_TRUE(stream->Push(std::span(signal).subspan(6'799, 2'000)).ok());
  ASSERT_TRUE(stream->Finish().ok());  // there is always room for the end
  EXPECT_EQ(stream->frames_ready(), 44);
  EXPECT_TRUE(stream->Window(10).ok());
  EXPECT_TRUE(stream->Window(28).ok());
}

TEST(MelStream, WindowsOutsideWhatIsHeldAreRefusedWithBothNumbers) {
  auto stream = MakeStream(64);
  ASSERT_TRUE(stream->Push(Noise(8'000, 0.3f)).ok());
  ASSERT_TRUE(stream->Finish().ok());
  ASSERT_EQ(stream->frames_ready(), 41);
  EXPECT_TRUE(stream->Window(0).ok());
  EXPECT_TRUE(stream->Window(25).ok());
  for (const int64_t start : {int64_t{-1}, int64_t{26}, int64_t{41}, INT64_MIN, INT64_MAX}) {
    EXPECT_EQ(stream->Window(start).status().code(), Code::kOutOfRange) << start;
    EXPECT_EQ(stream->TryWindow(start).data, nullptr) << start;
  }
  stream->DropBefore(7);
  EXPECT_EQ(stream->Window(6).status().message(),
            "mel window at frame 6: the frames held are 7..40, want 16");
  EXPECT_TRUE(stream->Window(7).ok());
  EXPECT_NE(stream->TryWindow(7).data, nullptr);
}

TEST(MelStream, FewerThanSixteenFramesAreNoWindowAndExactlySixteenAreOne) {
  for (const size_t samples : {0, 1, 2'999, 3'000}) {
    auto stream = MakeStream();
    ASSERT_TRUE(stream->Push(Noise(samples, 0.3f)).ok());
    ASSERT_TRUE(stream->Finish().ok());
    EXPECT_EQ(stream->Window(0).ok(), samples == 3'000) << samples;
    EXPECT_FALSE(stream->Window(1).ok());
  }
}

TEST(MelStream, DroppingNeverMovesBackwardsNorPastWhatIsReady) {
  auto stream = MakeStream(64);
  ASSERT_TRUE(stream->Push(Noise(4'400, 0.3f)).ok());
  stream->DropBefore(5);
  stream->DropBefore(3);
  EXPECT_EQ(stream->first_frame(), 5);
  stream->DropBefore(1'000);
  EXPECT_EQ(stream->first_frame(), stream->frames_ready());
}

TEST(MelStream, NothingCanBePushedAfterTheEnd) {
  auto stream = MakeStream();
  ASSERT_TRUE(stream->Finish().ok());
  EXPECT_EQ(stream->Push(Noise(1, 0.3f)).code(), Code::kFailedPrecondition);
  EXPECT_EQ(stream->SamplesAccepted(), 0);
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(stream->frames_ready(), 0);
}

TEST(MelStream, RejectsAHopLongerThanItsWindow) {
  MelConfig config;
  config.hop_samples = 801;
  EXPECT_EQ(MelStream::Create(config, 64).status().message(), "mel.hop_samples = 801: want 1..800");
}

TEST(MelStream, RejectsACapacityThatHoldsNoWindow) {
  EXPECT_EQ(MelStream::Create({}, 15).status().message(),
            "mel capacity 15 frames: want 16..10000000");
  EXPECT_FALSE(MelStream::Create({}, -1).ok());
  EXPECT_TRUE(MelStream::Create({}, 16).ok());
}

TEST(MelStream, AllocatesNothingAfterCreate) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizer owns operator new";
#endif
  const std::vector<float> signal = LoadWav("speech.wav");
  auto stream = MakeStream(48);
  float sum = 0;
  const int64_t before = allocations_of_this_thread;
  for (size_t at = 0; at + 320 <= signal.size(); at += 320) {
    if (!stream->Push(std::span(signal).subspan(at, 320)).ok()) break;
    const int64_t last = stream->frames_ready() - 16;
    const MelWindow window = stream->TryWindow(last);
    if (window.data != nullptr) sum += window.at(3, 4);
    stream->DropBefore(last);
  }
  const bool finished = stream->Finish().ok();
  EXPECT_EQ(allocations_of_this_thread, before);
  EXPECT_TRUE(finished);
  EXPECT_EQ(stream->frames_ready(), 161);
  EXPECT_NE(sum, 0.0f);
}

TEST(MelStream, TheTimesOfTheFourStepsAddUp) {
  auto stream = MakeStream();
  ASSERT_TRUE(stream->Push(LoadWav("speech.wav")).ok());
  const MelTimes& times = stream->times();
  EXPECT_GT(times.stft.count(), 0);
  EXPECT_GT(times.filterbank.count(), 0);
  EXPECT_GT(times.log.count(), 0);
  EXPECT_GT(times.normalise.count(), 0);
}

TEST(MelWindow, CopiesAreBandMajorAndTight) {
  auto stream = MakeStream();
  ASSERT_TRUE(stream->Push(LoadWav("speechlike.wav")).ok());
  const auto window = stream->Window(33);
  ASSERT_TRUE(window.ok());
  ASSERT_EQ(window->size(), 1'280u);
  std::vector<float> copy(1'281, 99.0f);
  window->CopyTo(copy);
  for (int b = 0; b < 80; ++b) {
    for (int f = 0; f < 16; ++f) ASSERT_EQ(copy[b * 16 + f], window->at(b, f));
  }
  EXPECT_EQ(copy.back(), 99.0f);
}

TEST(MelWindow, DataIsThatOfItsOwnFramesAndWindowsDoNotAlias) {
  const std::vector<float> signal = LoadWav("speech.wav");
  auto stream = MakeStream(256);
  ASSERT_TRUE(stream->Push(signal).ok());
  ASSERT_TRUE(stream->Finish().ok());
  const auto want = MelReference({}, signal);
  for (const int64_t i : {0, 1, 5, 10, 24, 45}) {
    const auto window = stream->Window(WindowStart(i));
    ASSERT_TRUE(window.ok());
    for (int f = 0; f < 16; ++f) {
      for (int b = 0; b < 80; ++b) {
        ASSERT_NEAR(window->at(b, f), want[WindowStart(i) + f][b], 1e-4) << i << " " << f;
      }
    }
  }
}

TEST(MelWindow, TakenInParallelTheyEqualThoseTakenInSequence) {
  auto stream = MakeStream(256);
  ASSERT_TRUE(stream->Push(LoadWav("speech.wav")).ok());
  ASSERT_TRUE(stream->Finish().ok());
  for (const int batch : {8, 16, 25, 32, 40}) {
    std::vector<float> sequential(batch * 1'280), parallel(batch * 1'280);
    for (int i = 0; i < batch; ++i) {
      stream->Window(WindowStart(i))->CopyTo(std::span(sequential).subspan(i * 1'280, 1'280));
    }
    std::vector<std::thread> threads;
    for (int worker = 0; worker < 4; ++worker) {
      threads.emplace_back([&, worker] {
        for (int i = worker; i < batch; i += 4) {
          stream->Window(WindowStart(i))->CopyTo(std::span(parallel).subspan(i * 1'280, 1'280));
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(parallel, sequential) << "batch " << batch;
  }
}

// One hundred runs: a reader on another thread sees whole, right frames while the writer goes on.
TEST(MelWindow, AReaderOnAnotherThreadNeverSeesAFrameBeforeItIsWhole) {
  const std::vector<float> signal = LoadWav("speechlike.wav");
  const Frames whole = WholeMel(signal);
  for (int run = 0; run < 100; ++run) {
    auto stream = MakeStream(128);
    std::atomic<int> wrong{0};
    std::thread reader([&] {
      for (int64_t start = 0; start + 16 <= static_cast<int64_t>(whole.size());) {
        const MelWindow window = stream->TryWindow(start);
        if (window.data == nullptr) {
          std::this_thread::yield();
          continue;
        }
        for (int b = 0; b < 80; b += 7) {
          for (int f = 0; f < 16; ++f) wrong += window.at(b, f) != whole[start + f][b];
        }
        ++start;
      }
    });
    const size_t piece = 160 + static_cast<size_t>(run) * 7;
    for (size_t at = 0; at < signal.size(); at += piece) {
      const size_t count = std::min(piece, signal.size() - at);
      EXPECT_TRUE(stream->Push(std::span(signal).subspan(at, count)).ok());
    }
    EXPECT_TRUE(stream->Finish().ok());
    reader.join();
    ASSERT_EQ(wrong.load(), 0) << "run " << run;
  }
}

}  // namespace
}  // namespace lipcast::audio
