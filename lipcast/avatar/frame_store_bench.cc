// What a frame costs on top of its codec: a hit is a look-up under a short lock.
#include <benchmark/benchmark.h>

#include "lipcast/avatar/frame_order.h"
#include "lipcast/avatar/frame_store.h"
#include "lipcast/avatar/test_package.h"

namespace lipcast::avatar {
namespace {

constexpr FakeVideo kClip{.width = 32, .height = 24, .frame_count = 250, .group = 25};

std::unique_ptr<FrameStore> StoreOf(FakeCodecs* codecs, int64_t fit) {
  const std::string file = FakeVideoFile(kClip);
  auto bytes = std::make_shared<const std::vector<uint8_t>>(file.begin(), file.end());
  const auto frame_bytes =
      static_cast<int64_t>(PictureBytes(kClip.format, kClip.width, kClip.height));
  auto store =
      FrameStore::Create({kClip.frame_count, kClip.width, kClip.height, fit * frame_bytes, 4},
                         VideoFrames{[bytes, open = codecs->codecs().open_video] {
                                       return open(FileSource{{}, bytes});
                                     },
                                     0});
  return store.ok() ? *std::move(store) : nullptr;
}

/// One bounce through the clip; `fit` frames of 250 are in the budget.
void BM_BouncePlay(benchmark::State& state) {
  static FakeCodecs codecs;
  static std::unique_ptr<FrameStore> store;
  if (state.thread_index() == 0) {
    codecs.decodes = 0;
    store = StoreOf(&codecs, state.range(0));
  }
  int64_t step = state.thread_index() * 60;
  for (auto _ : state) {
    const auto picture = store->Frame(FrameAt(Order::kBounce, kClip.frame_count, step++));
    if (!picture.ok()) state.SkipWithError(picture.status().message().c_str());
    benchmark::DoNotOptimize(picture);
  }
  if (state.thread_index() == 0) {
    state.counters["decodes_per_frame"] = static_cast<double>(codecs.decodes) /
                                          static_cast<double>(state.iterations() * state.threads());
  }
}
BENCHMARK(BM_BouncePlay)->ArgName("fit")->Arg(250)->Arg(60)->Arg(12);
BENCHMARK(BM_BouncePlay)->ArgName("fit")->Arg(250)->Threads(2);

}  // namespace
}  // namespace lipcast::avatar
