// Mel of one second of speech against the same steps around FFTW3f, interleaved in one run, and
// what 25 windows cost as views and as copies.

#include <benchmark/benchmark.h>
#include <fftw3.h>

#include <cmath>
#include <memory>
#include <thread>

#include "lipcast/audio/mel_bank.h"
#include "lipcast/audio/mel_stream.h"
#include "lipcast/audio/test_signals.h"

namespace lipcast::audio {
namespace {

const std::vector<float>& OneSecond() {
  static const std::vector<float> signal = [] {
    std::vector<float> speech = LoadWav("speech.wav");
    speech.resize(16'000);
    return speech;
  }();
  return signal;
}

// A plain good program: FFTW's measured plan, the sparse bank, the same scale.
class FftwMel {
 public:
  FftwMel() : bank_(MakeSlaneyBank({})) {
    for (const double w : PeriodicHann()) window_.push_back(static_cast<float>(w));
    plan_ = fftwf_plan_dft_r2c_1d(kFftSize, in_.get(), out_.get(), FFTW_PATIENT);
  }
  FftwMel(const FftwMel&) = delete;
  FftwMel& operator=(const FftwMel&) = delete;
  ~FftwMel() { fftwf_destroy_plan(plan_); }

  // The transforms of `frames` frames and nothing else.
  void TransformOnly(int frames) {
    for (int t = 0; t < frames; ++t) {
      fftwf_execute(plan_);
      benchmark::DoNotOptimize(out_.get());
    }
  }

  // [frames][80]
  const std::vector<float>& Compute(std::span<const float> mono) {
    padded_.assign(mono.size() + kFftSize, 0.0f);
    float* emphasised = padded_.data() + kFftSize / 2;
    emphasised[0] = mono[0];
    for (size_t n = 1; n < mono.size(); ++n) emphasised[n] = mono[n] - 0.97f * mono[n - 1];
    const auto frames = static_cast<size_t>(MelFrameCount(static_cast<int64_t>(mono.size()), 200));
    mel_.resize(frames * 80);
    for (size_t t = 0; t < frames; ++t) {
      const float* from = padded_.data() + t * 200;
      for (int i = 0; i < kFftSize; ++i) in_.get()[i] = from[i] * window_[i];
      fftwf_execute(plan_);
      for (int k = 0; k < kFftBins; ++k) {
        const float re = out_.get()[k][0], im = out_.get()[k][1];
        magnitudes_[k] = std::sqrt(re * re + im * im);
      }
      for (size_t b = 0; b < 80; ++b) {
        const int first = bank_.first_bin[b];
        int weight = b == 0 ? 0 : bank_.weight_end[b - 1];
        float sum = 0;
        for (int k = first; weight < bank_.weight_end[b]; ++k, ++weight) {
          sum += bank_.weights[weight] * magnitudes_[k];
        }
        const float db = 20.0f * std::log10(std::max(1e-5f, sum)) - 20.0f;
        mel_[t * 80 + b] = std::clamp(0.08f * db + 4.0f, -4.0f, 4.0f);
      }
    }
    return mel_;
  }

 private:
  struct Free {
    void operator()(void* memory) const { fftwf_free(memory); }
  };
  FlatBank bank_;
  std::vector<float> window_, padded_, mel_;
  std::vector<float> magnitudes_ = std::vector<float>(kFftBins);
  std::unique_ptr<float[], Free> in_{fftwf_alloc_real(kFftSize)};
  std::unique_ptr<fftwf_complex[], Free> out_{fftwf_alloc_complex(kFftBins)};
  fftwf_plan plan_ = nullptr;
};

// One second goes in, its frames are given back: the steady state of a stream.
void PushOneSecond(MelStream* stream) {
  stream->DropBefore(stream->frames_ready());
  benchmark::DoNotOptimize(stream->Push(OneSecond()).ok());
}

// Both, turn by turn, so that a busy machine is busy for both alike.
void BM_MelOfOneSecondAgainstFftw3f(benchmark::State& state) {
  using Clock = std::chrono::steady_clock;
  auto stream = *MelStream::Create({}, 256);
  FftwMel fftw;
  // Compared first: equally wrong is equally fast.
  const std::vector<float> theirs = fftw.Compute(OneSecond());
  auto check = *MelStream::Create({}, 256);
  if (!check->Push(OneSecond()).ok() || !check->Finish().ok()) state.SkipWithError("push failed");
  for (int64_t t = 0; t + 16 <= check->frames_ready(); ++t) {
    for (int b = 0; b < 80; ++b) {
      if (std::abs(check->TryWindow(t).at(b, 0) - theirs[static_cast<size_t>(t) * 80 + b]) >
          1e-4f) {
        state.SkipWithError("the two disagree");
        return;
      }
    }
  }
  std::vector<double> ours_us, theirs_us, transform_us;
  for ([[maybe_unused]] auto step : state) {
    const auto begin = Clock::now();
    PushOneSecond(stream.get());
    const auto middle = Clock::now();
    benchmark::DoNotOptimize(fftw.Compute(OneSecond()).data());
    const auto end = Clock::now();
    fftw.TransformOnly(80);
    const auto end_of_transforms = Clock::now();
    transform_us.push_back(
        std::chrono::duration<double, std::micro>(end_of_transforms - end).count());
    ours_us.push_back(std::chrono::duration<double, std::micro>(middle - begin).count());
    theirs_us.push_back(std::chrono::duration<double, std::micro>(end - middle).count());
  }
  const auto at = [](std::vector<double> v, double share) {
    std::sort(v.begin(), v.end());
    return v[static_cast<size_t>(share * static_cast<double>(v.size() - 1))];
  };
  state.counters["ours_us"] = at(ours_us, 0.5);
  state.counters["ours_p10"] = at(ours_us, 0.1);
  state.counters["ours_p90"] = at(ours_us, 0.9);
  state.counters["fftw_us"] = at(theirs_us, 0.5);
  state.counters["fftw_p10"] = at(theirs_us, 0.1);
  state.counters["fftw_p90"] = at(theirs_us, 0.9);
  state.counters["ratio"] = at(theirs_us, 0.5) / at(ours_us, 0.5);
  state.counters["fftw_fft_only"] = at(transform_us, 0.5);
  const auto runs = static_cast<double>(state.iterations());
  const auto us = [runs](std::chrono::nanoseconds sum) {
    return static_cast<double>(sum.count()) / 1e3 / runs;
  };
  state.counters["stft"] = us(stream->times().stft);
  state.counters["bank"] = us(stream->times().filterbank);
  state.counters["log"] = us(stream->times().log);
  state.counters["norm"] = us(stream->times().normalise);
}
BENCHMARK(BM_MelOfOneSecondAgainstFftw3f)->Unit(benchmark::kMicrosecond)->MinTime(2);

void BM_MelOfOneSecondInPieces(benchmark::State& state) {
  auto stream = *MelStream::Create({}, 256);
  const auto piece = static_cast<size_t>(state.range(0));
  for ([[maybe_unused]] auto step : state) {
    stream->DropBefore(stream->frames_ready());
    for (size_t at = 0; at < 16'000; at += piece) {
      const auto samples = std::span(OneSecond()).subspan(at, std::min<size_t>(piece, 16'000 - at));
      benchmark::DoNotOptimize(stream->Push(samples).ok());
    }
  }
}
BENCHMARK(BM_MelOfOneSecondInPieces)
    ->Arg(160)
    ->Arg(320)
    ->Arg(640)
    ->Arg(3'200)
    ->Unit(benchmark::kMicrosecond);

std::unique_ptr<MelStream> SpeechStream() {
  auto stream = *MelStream::Create({}, 256);
  if (!stream->Push(LoadWav("speech.wav")).ok()) std::abort();
  return stream;
}

void BM_25WindowViews(benchmark::State& state) {
  const auto stream = SpeechStream();
  MelWindow windows[25];
  for ([[maybe_unused]] auto step : state) {
    for (int64_t i = 0; i < 25; ++i) windows[i] = stream->TryWindow(WindowStart(i));
    benchmark::DoNotOptimize(windows);
  }
}
BENCHMARK(BM_25WindowViews);

void BM_25WindowResults(benchmark::State& state) {
  const auto stream = SpeechStream();
  MelWindow windows[25];
  for ([[maybe_unused]] auto step : state) {
    for (int64_t i = 0; i < 25; ++i) windows[i] = *stream->Window(WindowStart(i));
    benchmark::DoNotOptimize(windows);
  }
}
BENCHMARK(BM_25WindowResults);

void CopyWindows(const MelStream& stream, int64_t first, int64_t step, std::span<float> out) {
  for (int64_t i = first; i < 25; i += step) {
    stream.TryWindow(WindowStart(i)).CopyTo(out.subspan(static_cast<size_t>(i) * 1'280, 1'280));
  }
}

void BM_25WindowCopies(benchmark::State& state) {
  const auto stream = SpeechStream();
  std::vector<float> copies(25 * 1'280);
  for ([[maybe_unused]] auto step : state) {
    CopyWindows(*stream, 0, 1, copies);
    benchmark::DoNotOptimize(copies.data());
  }
}
BENCHMARK(BM_25WindowCopies);

// What a worker pool can gain at most, the threads being there already.
void BM_25WindowCopiesOnTwoThreads(benchmark::State& state) {
  static std::unique_ptr<MelStream> stream;
  static std::vector<float> copies(25 * 1'280);
  if (state.thread_index() == 0) stream = SpeechStream();
  for ([[maybe_unused]] auto step : state) {
    CopyWindows(*stream, state.thread_index(), state.threads(), copies);
    benchmark::DoNotOptimize(copies.data());
  }
}
BENCHMARK(BM_25WindowCopiesOnTwoThreads)->Threads(2)->UseRealTime();

}  // namespace
}  // namespace lipcast::audio
