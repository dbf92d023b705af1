#include "lipcast/media/h264_movie.h"

#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <sstream>

#include "lipcast/media/h264_encoder.h"
#include "lipcast/media/media_test_support.h"

namespace lipcast::media {
namespace {

using audio::AudioFormat;
using audio::SampleType;
using Bytes = std::vector<uint8_t>;

constexpr int kWidth = 320, kHeight = 192;
constexpr Rational kFps{30000, 1001};
constexpr AudioFormat kSound{48000, 1, SampleType::kS16};

class H264MovieTest : public testing::Test {
 protected:
  H264MovieTest() {
    H264Options options;
    options.width = kWidth;
    options.height = kHeight;
    options.fps = kFps;
    options.form = H264Form::kAvcc;
    encoder_ = *H264Encoder::Create(options);
  }
  std::unique_ptr<H264Movie> Open(bool sound = true) {
    H264StreamOptions options{kWidth, kHeight, kFps, encoder_->codec_config(), {}};
    if (sound) options.audio = kSound;
    auto movie = H264Movie::Create(path(), options);
    EXPECT_TRUE(movie.ok()) << movie.status().ToString();
    return *std::move(movie);
  }
  std::filesystem::path path() const { return folder_ / "film.mp4"; }
  Status AddPicture(H264Movie& movie, int index) {
    const auto unit = encoder_->Encode(test::Numbered(kWidth, kHeight, index).view(), false);
    units_.push_back(unit->bytes);
    return movie.AddPicture(index, unit->bytes, unit->key_frame);
  }
  static Status AddSound(H264Movie& movie, int frame, std::span<const std::byte> tone) {
    const auto from = static_cast<size_t>(FirstSample(frame, kSound.rate_hz, kFps)) * 2;
    const auto to = static_cast<size_t>(FirstSample(frame + 1, kSound.rate_hz, kFps)) * 2;
    return movie.AddSound(tone.subspan(from, to - from));
  }
  std::vector<int64_t> Lines(const std::string& stream, const std::string& entry) const {
    std::istringstream lines(test::Probe(path(), stream, entry));
    std::vector<int64_t> values;
    for (std::string line; std::getline(lines, line);) values.push_back(std::stoll(line));
    return values;
  }

  TempFolder folder_;
  std::unique_ptr<H264Encoder> encoder_;
  std::vector<Bytes> units_;
};

TEST_F(H264MovieTest, HoldsTheAccessUnitsByteForByteWithTheirTimesAndTheSound) {
  constexpr int kFrames = 90;
  const auto movie = Open();
  const auto tone = test::Tone(kSound, FirstSample(kFrames, kSound.rate_hz, kFps));
  for (int i = 0; i < kFrames; ++i) {
    if (i % 7 != 3) {
      LC_ASSERT_OK(AddPicture(*movie, i));
    }
    LC_ASSERT_OK(AddSound(*movie, i, tone));
  }
  EXPECT_GT(movie->bytes_written(), 1000);
  EXPECT_FALSE(std::filesystem::exists(path()));
  const auto report = movie->Finish(kFrames);
  LC_ASSERT_OK(report);
  EXPECT_EQ(report->frames, kFrames);
  EXPECT_EQ(report->bytes, static_cast<int64_t>(std::filesystem::file_size(path())));
  EXPECT_EQ(folder_.Names(), std::vector<std::string>{"film.mp4"});

  // Every packet, one behind the other, is what the encoder made.
  test::Run("ffmpeg -v error -i " + test::Quoted(path()) + " -map 0:v -c copy -f data " +
            test::Quoted(folder_ / "units"));
  Bytes joined;
  for (const Bytes& unit : units_) joined.insert(joined.end(), unit.begin(), unit.end());
  EXPECT_EQ(test::ReadFile(folder_ / "units"), joined);
  const auto times = Lines("v", "packet=pts");
  ASSERT_EQ(times.size(), units_.size());
  const int64_t tick = times[1] - times[0];
  for (int i = 0, at = 0; i < kFrames; ++i) {
    if (i % 7 == 3) continue;
    EXPECT_EQ(times[static_cast<size_t>(at++)], i * tick);
  }
  const double seconds = kFrames / kFps.value();
  EXPECT_NEAR(std::stod(test::Probe(path(), "v", "stream=duration")), seconds, 1e-3);
  EXPECT_NEAR(std::stod(test::Probe(path(), "a", "stream=duration")), seconds, 1.0 / 48000 + 1e-6);

  // The sound is where it was: a tone from its first sample on.
  test::Run("ffmpeg -v error -i " + test::Quoted(path()) + " -map 0:a -f s16le " +
            test::Quoted(folder_ / "pcm"));
  const Bytes pcm = test::ReadFile(folder_ / "pcm");
  ASSERT_GE(pcm.size(), tone.size());  // up to the end of a block, which players cut off
  ASSERT_LT(pcm.size(), tone.size() + size_t{2} * 1024);
  double worst = 0;
  for (size_t i = 9600; i + 9600 < tone.size(); i += 2) {  // AAC's blocks at a hard edge are rough
    const auto sample = [&](const auto& bytes) {
      return static_cast<int16_t>(static_cast<unsigned>(bytes[i]) |
                                  static_cast<unsigned>(bytes[i + 1]) << 8);
    };
    worst = std::max(worst, std::abs(static_cast<double>(sample(pcm)) - sample(tone)));
  }
  EXPECT_LT(worst, 0.02 * 32768);
}

TEST_F(H264MovieTest, HasItsIndexInFrontAndNoSoundTrackUnlessThereIsSound) {
  const auto movie = Open(false);
  LC_ASSERT_OK(AddPicture(*movie, 0));
  EXPECT_EQ(movie->AddPicture(0, units_[0], true).code(), Code::kInvalidArgument);
  LC_ASSERT_OK(AddPicture(*movie, 1));  // that one refusal did no harm
  LC_ASSERT_OK(movie->Finish(2));
  const Bytes bytes = test::ReadFile(path());
  const auto find = [&](std::string_view name) {
    return std::search(bytes.begin(), bytes.end(), name.begin(), name.end()) - bytes.begin();
  };
  EXPECT_LT(find("moov"), find("mdat"));
  EXPECT_EQ(test::Probe(path(), "", "stream=codec_type"), "video");
  EXPECT_EQ(movie->Finish(2).status().code(), Code::kFailedPrecondition);
}

TEST_F(H264MovieTest, LeavesNothingBehindWhenItIsGivenUpAndReplacesNoFile) {
  {
    const auto movie = Open();
    LC_ASSERT_OK(AddPicture(*movie, 0));
  }
  EXPECT_TRUE(folder_.Names().empty());
  test::WriteFile(path(), {1});
  const H264StreamOptions options{kWidth, kHeight, kFps, encoder_->codec_config(), {}};
  EXPECT_EQ(H264Movie::Create(path(), options).status().code(), Code::kAlreadyExists);
  EXPECT_EQ(test::ReadFile(path()), Bytes{1});
}

TEST_F(H264MovieTest, AFileThatMayNotGrowIsOneLineAndLeavesNothing) {
  // As on a disk that fills up, a write fails on the way.
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{64 << 10, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  {
    const auto movie = Open(false);
    Status status;
    for (int i = 0; i < 500 && status.ok(); ++i) status = AddPicture(*movie, i);
    EXPECT_NE(status.message().find("File too large"), std::string::npos) << status.ToString();
    EXPECT_EQ(status.message().find('\n'), std::string::npos);
    EXPECT_EQ(movie->Finish(500).status().message(), status.message());
  }
  EXPECT_TRUE(folder_.Names().empty());
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
}

}  // namespace
}  // namespace lipcast::media
