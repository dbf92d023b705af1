#include "lipcast/imaging/resize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "lipcast/imaging/resize_reference.h"
#include "lipcast/imaging/test_pictures.h"

namespace lipcast::imaging {
namespace {

using testing::HasSubstr;

struct Shape {
  int src_w, src_h, dst_w, dst_h;
};

std::ostream& operator<<(std::ostream& out, const Shape& s) {
  return out << s.src_w << "x" << s.src_h << " to " << s.dst_w << "x" << s.dst_h;
}

PixelFormat FormatOf(int channels) {
  return channels == 1   ? PixelFormat::kGray8
         : channels == 3 ? PixelFormat::kBgr24
                         : PixelFormat::kBgra32;
}

void Resize(const Shape& s, int channels, const PictureView& src, const MutablePictureView& dst,
            ResizeKernel kernel = ResizeKernel::kCubic) {
  const Result<CubicResizer> resizer =
      CubicResizer::Create(s.src_w, s.src_h, s.dst_w, s.dst_h, channels, kernel);
  ASSERT_TRUE(resizer.ok()) << resizer.status().message();
  std::vector<uint8_t> scratch(resizer->scratch_bytes());
  FillNoise(scratch.data(), scratch.size(), 99);  // its contents must not matter
  resizer->Resize(src, dst, scratch);
}

std::vector<Shape> ManyShapes() {
  std::vector<Shape> shapes = {{1, 1, 1, 1},         {1, 1, 40, 33},       {40, 33, 1, 1},
                               {1, 50, 1, 7},        {50, 1, 7, 1},        {1, 50, 9, 80},
                               {50, 1, 80, 9},       {2, 2, 3, 3},         {3, 2, 2, 3},
                               {168, 168, 184, 184}, {184, 184, 168, 168}, {328, 328, 301, 299},
                               {96, 96, 131, 77},    {641, 361, 320, 180}, {320, 180, 641, 361},
                               {8192, 3, 16, 2},     {8192, 2, 8191, 3},   {17, 3, 8192, 2},
                               {8191, 2, 4099, 1},   {3, 8192, 2, 401},    {1, 3, 1, 8192}};
  for (int w = 1; w <= 70; ++w) shapes.push_back({w, 3, 71 - w, 2});  // every tail of a vector
  return shapes;
}

class CubicResizeTargets : public EachTarget {};

TEST_P(CubicResizeTargets, EqualsThePlainReferenceAndStaysInsideItsViews) {
  uint32_t seed = 1;
  for (const Shape& s : ManyShapes()) {
    for (int channels : {1, 3, 4}) {
      const PixelFormat format = FormatOf(channels);
      const TestPicture src(format, s.src_w, s.src_h, ++seed);
      const TestPicture expected(format, s.dst_w, s.dst_h, ++seed);
      const TestPicture tight(format, s.dst_w, s.dst_h, ++seed);
      const TestPicture guarded(format, s.dst_w, s.dst_h, ++seed, 67);
      CubicResizeReference(src.view(), expected.view(), channels);
      Resize(s, channels, src.view(), tight.view());
      Resize(s, channels, src.view(), guarded.view());
      ASSERT_EQ(MaxDifference(expected.view(), tight.view()), 0) << s << ", " << channels;
      ASSERT_EQ(MaxDifference(expected.view(), guarded.view()), 0) << s << ", " << channels;
      ASSERT_TRUE(guarded.GuardsIntact()) << s << ", " << channels;
      CubicResizeReference(src.view(), expected.view(), channels, ResizeKernel::kLinear);
      Resize(s, channels, src.view(), tight.view(), ResizeKernel::kLinear);
      ASSERT_EQ(MaxDifference(expected.view(), tight.view()), 0) << s << ", " << channels;
    }
  }
}

TEST_P(CubicResizeTargets, SeesNothingOutsideTheSourceView) {
  for (const Shape& s : {Shape{5, 4, 11, 9}, Shape{168, 168, 184, 184}, Shape{31, 9, 7, 5}}) {
    const TestPicture a(PixelFormat::kBgr24, s.src_w, s.src_h, 5, 16);
    const TestPicture b(PixelFormat::kBgr24, s.src_w, s.src_h, 6, 16);  // other guard bytes
    CopyPicture(a.view(), b.view());
    const TestPicture from_a(PixelFormat::kBgr24, s.dst_w, s.dst_h, 7);
    const TestPicture from_b(PixelFormat::kBgr24, s.dst_w, s.dst_h, 8);
    Resize(s, 3, a.view(), from_a.view());
    Resize(s, 3, b.view(), from_b.view());
    EXPECT_EQ(MaxDifference(from_a.view(), from_b.view()), 0) << s;
  }
}

TEST_P(CubicResizeTargets, KeepsAFlatColourFlat) {
  for (uint8_t level : std::initializer_list<uint8_t>{0, 1, 100, 254, 255}) {
    TestPicture src(PixelFormat::kBgr24, 168, 168, 1);
    src.Fill({level, 255, 3});
    TestPicture expected(PixelFormat::kBgr24, 187, 191, 2);
    expected.Fill({level, 255, 3});
    const TestPicture dst(PixelFormat::kBgr24, 187, 191, 3);
    Resize({168, 168, 187, 191}, 3, src.view(), dst.view());
    EXPECT_EQ(MaxDifference(expected.view(), dst.view()), 0) << int{level};
  }
}

LC_INSTANTIATE_TARGETS(CubicResizeTargets);

// From testdata/make_golden.py with opencv-python-headless 4.11. 1 level: the contract's bound;
// OpenCV rounds its vertical pass in float where ours rounds between the passes.
void CompareWithOpenCv(const std::string& golden, ResizeKernel kernel, int unequal_percent) {
  std::ifstream file(LIPCAST_SOURCE_DIR "/lipcast/imaging/testdata/" + golden, std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  size_t at = 0;
  const auto next_int = [&] {
    int32_t value = 0;
    std::memcpy(&value, bytes.data() + at, sizeof(value));
    at += sizeof(value);
    return value;
  };
  ASSERT_GT(bytes.size(), 4u);
  const int count = next_int();
  ASSERT_GE(count, 40);
  int64_t unequal = 0, values = 0;
  for (int i = 0; i < count; ++i) {
    ASSERT_LE(at + 5 * sizeof(int32_t), bytes.size());
    const Shape s{next_int(), next_int(), next_int(), next_int()};
    const int channels = next_int();
    const PixelFormat format = FormatOf(channels);
    const size_t dst_bytes = PictureBytes(format, s.dst_w, s.dst_h);
    ASSERT_LE(at + dst_bytes, bytes.size()) << s;
    const TestPicture src(format, s.src_w, s.src_h, static_cast<uint32_t>(i));
    const TestPicture dst(format, s.dst_w, s.dst_h, 500);
    Resize(s, channels, src.view(), dst.view(), kernel);
    const PictureView opencv =
        PackedView(format, s.dst_w, s.dst_h, reinterpret_cast<const uint8_t*>(bytes.data()) + at);
    EXPECT_LE(MaxDifference(opencv, dst.view()), 1) << s << ", " << channels << " channels";
    for (size_t b = 0; b < dst_bytes; ++b) unequal += dst.view().plane[0][b] != opencv.plane[0][b];
    values += static_cast<int64_t>(dst_bytes);
    at += dst_bytes;
  }
  EXPECT_EQ(at, bytes.size());
  EXPECT_LT(unequal * 100, values * unequal_percent) << "too many levels differ";
}

TEST(CubicResizer, IsWithinOneLevelOfOpenCv) {
  CompareWithOpenCv("resize_golden.bin", ResizeKernel::kCubic, 1);
}

// OpenCV cuts four bits off between the passes of this one; ours rounds.
TEST(CubicResizer, IsWithinOneLevelOfOpenCvsLinearToo) {
  CompareWithOpenCv("resize_linear_golden.bin", ResizeKernel::kLinear, 12);
}

TEST(CubicResizer, CopiesAtEqualSize) {
  const TestPicture src(PixelFormat::kBgr24, 41, 23, 1, 5);
  const TestPicture dst(PixelFormat::kBgr24, 41, 23, 2, 9);
  Resize({41, 23, 41, 23}, 3, src.view(), dst.view());
  EXPECT_EQ(MaxDifference(src.view(), dst.view()), 0);
  EXPECT_TRUE(dst.GuardsIntact());
}

TEST(CubicResizer, ServesManyThreadsAtOnce) {
  const Result<CubicResizer> resizer = CubicResizer::Create(168, 168, 184, 190);
  ASSERT_TRUE(resizer.ok());
  const TestPicture src(PixelFormat::kBgr24, 168, 168, 1);
  const TestPicture expected(PixelFormat::kBgr24, 184, 190, 2);
  CubicResizeReference(src.view(), expected.view(), 3);
  std::vector<int> difference(8, -1);
  std::vector<std::thread> threads;
  for (size_t t = 0; t < difference.size(); ++t) {
    threads.emplace_back([&, t] {
      std::vector<uint8_t> scratch(resizer->scratch_bytes());
      const TestPicture dst(PixelFormat::kBgr24, 184, 190, 3);
      resizer->Resize(src.view(), dst.view(), scratch);
      difference[t] = MaxDifference(expected.view(), dst.view());
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(difference, std::vector<int>(8, 0));
}

TEST(CubicResizer, NamesASizeOutOfRange) {
  for (const Shape& s :
       {Shape{0, 5, 5, 5}, Shape{5, 8193, 5, 5}, Shape{5, 5, -1, 5}, Shape{5, 5, 5, 8193}}) {
    const Result<CubicResizer> resizer = CubicResizer::Create(s.src_w, s.src_h, s.dst_w, s.dst_h);
    ASSERT_FALSE(resizer.ok()) << s;
    EXPECT_EQ(resizer.status().code(), Code::kInvalidArgument);
    EXPECT_THAT(resizer.status().message(), HasSubstr("want 1..8192 each side"));
  }
  const Result<CubicResizer> two_channels = CubicResizer::Create(5, 5, 6, 6, 2);
  ASSERT_FALSE(two_channels.ok());
  EXPECT_EQ(two_channels.status().message(), "resize channels = 2: want 1, 3 or 4");
}

}  // namespace
}  // namespace lipcast::imaging
