#include "lipcast/avatar/frame_store.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <latch>
#include <random>
#include <thread>

#include "lipcast/avatar/frame_order.h"
#include "lipcast/avatar/test_package.h"

namespace lipcast::avatar {
namespace {

int64_t FrameBytes(const FakeVideo& video) {
  return static_cast<int64_t>(PictureBytes(video.format, video.width, video.height));
}

FrameStoreConfig ConfigFor(const FakeVideo& video, int64_t frames_in_budget) {
  return {video.frame_count, video.width, video.height, frames_in_budget * FrameBytes(video), 4};
}

VideoFrames VideoOf(FakeCodecs* codecs, const FakeVideo& video) {
  const std::string file = FakeVideoFile(video);
  auto bytes = std::make_shared<const std::vector<uint8_t>>(file.begin(), file.end());
  return {[bytes, open = codecs->codecs().open_video] { return open(FileSource{{}, bytes}); }, 0};
}

std::unique_ptr<FrameStore> VideoStore(FakeCodecs* codecs, const FakeVideo& video,
                                       const FrameStoreConfig& config) {
  auto store = FrameStore::Create(config, VideoOf(codecs, video));
  EXPECT_TRUE(store.ok()) << store.status().ToString();
  return store.ok() ? *std::move(store) : nullptr;
}

/// Images whose compressed form is padded to `compressed_bytes`; counts reads.
struct FakeImages {
  FakeCodecs codecs;
  std::atomic<int64_t> reads = 0;
  size_t compressed_bytes = 40;
  int width = 32, height = 24;
  PixelFormat odd_format = PixelFormat::kBgr24;
  int64_t odd_frame = -1;

  ImageFrames frames() {
    return {[](int64_t frame) { return fmt::format("frames/{:03d}.png", frame); },
            [this](int64_t frame) -> Result<SharedBytes> {
              ++reads;
              const PixelFormat format = frame == odd_frame ? odd_format : PixelFormat::kBgr24;
              std::string file = FakeImageFile(format, width, height, frame);
              file.resize(compressed_bytes, ' ');
              return SharedBytes(
                  std::make_shared<const std::vector<uint8_t>>(file.begin(), file.end()));
            },
            codecs.codecs().decode_image};
  }
};

/// Plays `steps` steps of an order; every frame must be the right one and the budget must hold.
void Play(FrameStore* store, Order order, int64_t frame_count, int64_t steps, int64_t budget_bytes,
          int64_t from = 0) {
  for (int64_t step = from; step < from + steps; ++step) {
    const int64_t frame = FrameAt(order, frame_count, step);
    const auto picture = store->Frame(frame);
    ASSERT_TRUE(picture.ok()) << picture.status().ToString();
    ASSERT_EQ(FrameOf(**picture), frame) << "step " << step;
    ASSERT_LE(store->bytes_held(), budget_bytes) << "step " << step;
  }
}

TEST(FrameStore, AClipThatFitsIsDecodedOnce) {
  for (const Order order : {Order::kLoop, Order::kBounce, Order::kHold}) {
    FakeCodecs codecs;
    const FakeVideo video{.frame_count = 100, .group = 12};
    const FrameStoreConfig config = ConfigFor(video, 100);
    const auto store = VideoStore(&codecs, video, config);
    Play(store.get(), order, 100, 1'000, config.budget_bytes);
    EXPECT_EQ(codecs.decodes, 100);
    EXPECT_EQ(store->stats().decodes, 100);
    EXPECT_EQ(store->stats().decoders, 1);
    EXPECT_EQ(store->stats().hits, 900);
    EXPECT_EQ(store->bytes_held(), 100 * FrameBytes(video));
  }
}

TEST(FrameStore, AClipThatFitsIsDecodedOnceAlsoWhenAWayThroughItSkipsFrames) {
  FakeCodecs codecs;
  const FakeVideo video{.frame_count = 100, .group = 25};
  const auto store = VideoStore(&codecs, video, ConfigFor(video, 100));
  for (int64_t frame = 0; frame < 100; frame += 3) ASSERT_TRUE(store->Frame(frame).ok());
  Play(store.get(), Order::kLoop, 100, 100, INT64_MAX);
  EXPECT_EQ(codecs.decodes, 100);
}

TEST(FrameStore, ForwardPlayCostsOneDecodeAFrameWhenNothingFits) {
  FakeCodecs codecs;
  const FakeVideo video{.frame_count = 1'000, .group = 250};
  const FrameStoreConfig config = ConfigFor(video, 2);
  const auto store = VideoStore(&codecs, video, config);
  Play(store.get(), Order::kLoop, 1'000, 3'000, config.budget_bytes);
  EXPECT_EQ(codecs.decodes, 3'000);
  EXPECT_EQ(store->stats().decodes, 3'000);
  EXPECT_EQ(store->stats().decoders, 1) << "starting again is the same play";
}

TEST(FrameStore, ReversePlayCostsAtMostThreeDecodesAFrame) {
  struct Case {
    int64_t group, fit;
    double most;
  };
  for (const Case c : {Case{12, 20, 1.05}, Case{250, 250, 1.05}, Case{250, 125, 1.6},
                       Case{250, 63, 2.6}, Case{1, 2, 1.0}, Case{7, 2, 2.6}}) {
    FakeCodecs codecs;
    const FakeVideo video{.frame_count = 2'000, .group = c.group};
    const FrameStoreConfig config = ConfigFor(video, c.fit);
    const auto store = VideoStore(&codecs, video, config);
    Play(store.get(), Order::kBounce, 2'000, 2'000, config.budget_bytes);
    const int64_t forward = codecs.decodes;
    EXPECT_EQ(forward, 2'000);
    Play(store.get(), Order::kBounce, 2'000, 1'998, config.budget_bytes, 2'000);
    const double each = static_cast<double>(codecs.decodes - forward) / 1'998;
    EXPECT_LE(each, c.most) << "groups of " << c.group << ", " << c.fit << " fit";
    EXPECT_EQ(store->stats().decoders, 1) << "one player needs one decoder";
    EXPECT_EQ(store->stats().decodes, codecs.decodes);
  }
}

TEST(FrameStore, TwentyThousandFramesStayWithinTheBudget) {
  // 1080p scaled down: as many frames fit as 1080p I420 frames into 1 GB.
  constexpr int64_t kFrames = 20'000, kFit = 1'000'000'000 / (1920 * 1080 * 3 / 2);
  FakeCodecs codecs;
  const FakeVideo video{.width = 16, .height = 8, .frame_count = kFrames, .group = 250};
  const FrameStoreConfig config = ConfigFor(video, kFit);
  const auto store = VideoStore(&codecs, video, config);
  Play(store.get(), Order::kBounce, kFrames, 2 * kFrames, config.budget_bytes);
  EXPECT_EQ(store->stats().decoded_bytes_peak, config.budget_bytes);
  EXPECT_LE(static_cast<double>(codecs.decodes) / (2 * kFrames), 1.1);
}

TEST(FrameStore, True1080pFramesStayWithin64MiB) {
  FakeCodecs codecs;
  const FakeVideo video{.width = 1920, .height = 1080, .frame_count = 2'000, .group = 50};
  FrameStoreConfig config = ConfigFor(video, 0);
  config.budget_bytes = int64_t{64} << 20;
  const auto store = VideoStore(&codecs, video, config);
  EXPECT_EQ(store->frames_that_fit(), 21);
  EXPECT_EQ(store->longest_group(), 50);
  Play(store.get(), Order::kBounce, 2'000, 4'000, config.budget_bytes);
  EXPECT_EQ(store->stats().decoded_bytes_peak, 21 * 3'110'400);
  EXPECT_LE(static_cast<double>(codecs.decodes) / 4'000, 2.0);
}

TEST(FrameStore, PlayersAtDifferentPlacesDoNotCostEachOtherSeeks) {
  FakeCodecs codecs;
  const FakeVideo video{.frame_count = 10'000, .group = 250};
  const auto store = VideoStore(&codecs, video, ConfigFor(video, 80));
  for (int64_t step = 0; step < 500; ++step) {
    for (int64_t player = 0; player < 4; ++player) {
      const int64_t frame = player * 2'500 + step;
      ASSERT_EQ(FrameOf(**store->Frame(frame)), frame);
    }
  }
  EXPECT_EQ(store->stats().decoders, 4);
  EXPECT_EQ(codecs.decodes, 2'000);
  // A fifth takes the decoder of whoever was away longest.
  ASSERT_EQ(FrameOf(**store->Frame(9'999)), 9'999);
  EXPECT_EQ(store->stats().decoders, 4);
}

TEST(FrameStore, AFrameInTheCacheNeverWaitsForADecoder) {
  FakeCodecs codecs;
  const FakeVideo video{.frame_count = 100, .group = 10};
  const auto store = VideoStore(&codecs, video, ConfigFor(video, 20));
  ASSERT_TRUE(store->Frame(0).ok());
  std::latch decoding(1), finish(1);
  codecs.on_frame = [&](int64_t frame) {
    if (frame != 1) return;
    decoding.count_down();
    finish.wait();
  };
  std::thread other([&] { EXPECT_EQ(FrameOf(**store->Frame(1)), 1); });
  decoding.wait();
  EXPECT_EQ(FrameOf(**store->Frame(0)), 0);    // hangs if it had to wait
  EXPECT_EQ(FrameOf(**store->Frame(95)), 95);  // and so does another place of the clip
  finish.count_down();
  other.join();
}

TEST(FrameStore, EightThreadsGetTheRightFrames) {
  for (const int64_t fit : {4, 40, 400}) {
    FakeCodecs codecs;
    const FakeVideo video{.frame_count = 400, .group = 25};
    const FrameStoreConfig config = ConfigFor(video, fit);
    const auto store = VideoStore(&codecs, video, config);
    std::atomic<int64_t> wrong = 0;
    std::vector<std::thread> threads;
    for (unsigned seed = 1; seed <= 8; ++seed) {
      threads.emplace_back([&, seed] {
        std::mt19937 random(seed);
        int64_t frame = 0;
        for (int i = 0; i < 400; ++i) {
          // Walks both ways, and jumps now and then.
          frame = random() % 16 == 0 ? random() % 400 : (frame + (seed % 2 == 0 ? 1 : 399)) % 400;
          const auto picture = store->Frame(frame);
          if (!picture.ok() || FrameOf(**picture) != frame) ++wrong;
          if (store->bytes_held() > config.budget_bytes) ++wrong;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(wrong, 0);
    EXPECT_EQ(codecs.overlaps, 0) << "a decoder has one caller at a time";
    EXPECT_EQ(codecs.opened, store->stats().decoders);
    EXPECT_LE(codecs.opened, 4);
  }
}

TEST(FrameStore, ThreadsThatWantTheSameFrameShareOneDecode) {
  FakeCodecs codecs;
  const FakeVideo video{.frame_count = 200, .group = 25};
  const auto store = VideoStore(&codecs, video, ConfigFor(video, 200));
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] { Play(store.get(), Order::kLoop, 200, 400, INT64_MAX); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(codecs.decodes, 200);
}

TEST(FrameStore, FaultsNameTheFrameAndLeaveTheOthersAlone) {
  FakeCodecs codecs;
  codecs.broken_frame = 7;
  codecs.small_frame = 13;
  const FakeVideo video{.frame_count = 30, .group = 10};
  const auto store = VideoStore(&codecs, video, ConfigFor(video, 12));
  EXPECT_EQ(store->Frame(9).status().message(), "") << "only frame 7 is broken";
  EXPECT_EQ(store->Frame(7).status().message(), "frame 7: broken slice");
  EXPECT_EQ(store->Frame(7).status().code(), Code::kDataLoss);
  EXPECT_EQ(store->Frame(13).status().message(), "frame 13 = 16x24: want 32x24");
  for (const int64_t frame : {0, 6, 8, 12, 14, 29}) {
    ASSERT_TRUE(store->Frame(frame).ok()) << frame;
    EXPECT_EQ(FrameOf(**store->Frame(frame)), frame);
  }
  EXPECT_EQ(store->Frame(-1).status().message(), "frame -1: want 0..29");
  EXPECT_EQ(store->Frame(30).status().code(), Code::kOutOfRange);
  EXPECT_EQ(store->Frame(INT64_MAX).status().code(), Code::kOutOfRange);
}

TEST(FrameStore, ADecoderThatCannotBeOpenedLaterIsAnErrorOnce) {
  FakeCodecs codecs;
  const FakeVideo video{.frame_count = 1'000, .group = 10};
  VideoFrames frames = VideoOf(&codecs, video);
  int opens = 0;
  frames.open = [&opens, open = frames.open]() -> Result<std::unique_ptr<FrameDecoder>> {
    if (++opens == 2) return Status(Code::kResourceExhausted, "too many open files");
    return open();
  };
  auto created = FrameStore::Create(ConfigFor(video, 20), std::move(frames));
  ASSERT_TRUE(created.ok());
  const auto& store = *created;
  ASSERT_TRUE(store->Frame(0).ok());
  EXPECT_EQ(store->Frame(500).status().message(), "too many open files");
  EXPECT_EQ(FrameOf(**store->Frame(500)), 500);
  EXPECT_EQ(FrameOf(**store->Frame(1)), 1);
}

TEST(FrameStore, RefusesABudgetBelowTwoFramesWithBothNumbers) {
  FakeCodecs codecs;
  const FakeVideo video{.width = 1920, .height = 1080};
  FrameStoreConfig config = ConfigFor(video, 2);
  EXPECT_TRUE(FrameStore::Create(config, VideoOf(&codecs, video)).ok());
  config.budget_bytes -= 1;
  EXPECT_EQ(FrameStore::Create(config, VideoOf(&codecs, video)).status().message(),
            "frame_budget_bytes = 6220799: want at least 6220800, two decoded frames of 1920x1080"
            " beside 0 compressed bytes");
  config.budget_bytes = 7'000'000;
  VideoFrames packed = VideoOf(&codecs, video);
  packed.compressed_bytes = 1'000'000;
  EXPECT_EQ(FrameStore::Create(config, packed).status().code(), Code::kResourceExhausted);
  config.budget_bytes = 7'220'800;
  const auto store = FrameStore::Create(config, packed);
  ASSERT_TRUE(store.ok());
  EXPECT_EQ((*store)->bytes_held(), 1'000'000) << "a packed video counts";
}

TEST(FrameStore, RefusesAConfigOutOfRange) {
  const auto refusal = [](FrameStoreConfig config) { return config.Validate().message(); };
  EXPECT_EQ(refusal({0, 32, 24}), "frame_count = 0: want >= 1");
  EXPECT_EQ(refusal({1, 0, 24}), "frame size 0x24: want 1..8192 each side");
  EXPECT_EQ(refusal({1, 32, 8'193}), "frame size 32x8193: want 1..8192 each side");
  EXPECT_EQ(refusal({1, 32, 24, 1 << 20, 0}), "max_decoders = 0: want 1..64");
  EXPECT_EQ(refusal({1, 32, 24}), "");
}

TEST(FrameStore, ImagesThatFitAreReadAndDecodedOnce) {
  FakeImages images;
  const FrameStoreConfig config{50, 32, 24, 50 * 32 * 24 * 3, 1};
  const auto store = FrameStore::Create(config, images.frames());
  ASSERT_TRUE(store.ok()) << store.status().ToString();
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] { Play(store->get(), Order::kBounce, 50, 300, config.budget_bytes); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(images.codecs.decodes, 50);
  EXPECT_EQ(images.reads, 50);
  EXPECT_EQ((*store)->stats().compressed_bytes_held, 0) << "decoded ones are enough";
  EXPECT_EQ((*store)->format(), PixelFormat::kBgr24);
}

TEST(FrameStore, CompressedImagesAreKeptInHalfTheBudgetAndElseReadAgain) {
  FakeImages images;
  images.compressed_bytes = 300;
  constexpr int64_t kFrame = 32 * 24 * 3;
  // 100 frames, budget 20: half of it holds 76 compressed ones.
  const FrameStoreConfig config{100, 32, 24, 20 * kFrame, 1};
  const auto store = FrameStore::Create(config, images.frames());
  ASSERT_TRUE(store.ok());
  Play(store->get(), Order::kLoop, 100, 100, config.budget_bytes);
  EXPECT_EQ(images.reads, 100);
  Play(store->get(), Order::kLoop, 100, 100, config.budget_bytes, 100);
  EXPECT_EQ(images.reads, 100 + 24) << "76 are kept";
  EXPECT_EQ((*store)->stats().compressed_bytes_held, 76 * 300);
  EXPECT_LE((*store)->bytes_held(), config.budget_bytes);
}

TEST(FrameStore, ImagesOfAnotherSizeOrFormatAreRefusedByName) {
  FakeImages images;
  images.odd_frame = 3;
  images.odd_format = PixelFormat::kBgra32;
  FrameStoreConfig config{5, 32, 24, 1 << 20, 1};
  const auto store = FrameStore::Create(config, images.frames());
  ASSERT_TRUE(store.ok());
  EXPECT_EQ((*store)->Frame(3).status().message(),
            "frames/003.png: frame 3 is BGR with alpha: want BGR as the first frame");
  config.width = 33;
  EXPECT_EQ(FrameStore::Create(config, images.frames()).status().message(),
            "frames/000.png: frame 0 = 32x24: want 33x24");
  images.compressed_bytes = 5;
  EXPECT_EQ(FrameStore::Create(config, images.frames()).status().message(),
            "frames/000.png: not an image");
}

}  // namespace
}  // namespace lipcast::avatar
