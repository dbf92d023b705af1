#include "lipcast/audio/raw_reader.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <thread>

#include "lipcast/audio/test_signals.h"

namespace lipcast::audio {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class Pipe {
 public:
  Pipe() { EXPECT_EQ(::pipe(ends_.data()), 0); }
  ~Pipe() {
    Close();
    ::close(ends_[0]);
  }
  int reading() const { return ends_[0]; }
  void Write(std::string_view bytes) {
    ASSERT_EQ(::write(ends_[1], bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }
  void Close() {
    if (ends_[1] >= 0) ::close(ends_[1]);
    ends_[1] = -1;
  }

 private:
  std::array<int, 2> ends_{-1, -1};
};

std::string ReadOnce(AudioReader* reader, size_t bytes) {
  std::vector<std::byte> block(bytes);
  const auto count = reader->Read(block);
  EXPECT_TRUE(count.ok()) << count.status().message();
  return std::string(reinterpret_cast<const char*>(block.data()), count.ok() ? *count : 0);
}

TEST(RawReader, DeliversWholeFramesAndCarriesTheRestOver) {
  Pipe pipe;
  auto reader = MakeRawReader(pipe.reading(), {16'000, 2, SampleType::kS16});
  ASSERT_TRUE(reader.ok());
  pipe.Write("abcdefg");
  EXPECT_EQ(ReadOnce(reader->get(), 100), "abcd");
  pipe.Write("hi");
  EXPECT_EQ(ReadOnce(reader->get(), 100), "efgh");
  pipe.Write("jkl");
  pipe.Close();
  EXPECT_EQ(ReadOnce(reader->get(), 100), "ijkl");
  EXPECT_EQ(ReadOnce(reader->get(), 100), "");
  EXPECT_THAT((*reader)->warnings(), IsEmpty());
}

TEST(RawReader, WaitsForAFrameThatArrivesByteByByteAlsoWithoutBlocking) {
  for (const bool blocking : {true, false}) {
    Pipe pipe;
    if (!blocking) {
      ASSERT_EQ(::fcntl(pipe.reading(), F_SETFL, O_NONBLOCK), 0);
    }
    auto reader = MakeRawReader(pipe.reading(), {16'000, 1, SampleType::kF64});
    std::thread writer([&] {
      for (const char c : std::string("12345678ABCDEFGH")) {
        pipe.Write(std::string(1, c));
        std::this_thread::yield();
      }
      pipe.Close();
    });
    std::string all;
    for (;;) {
      const std::string piece = ReadOnce(reader->get(), 9);
      if (piece.empty()) break;
      all += piece;
    }
    writer.join();
    EXPECT_EQ(all, "12345678ABCDEFGH");
  }
}

TEST(RawReader, AnIncompleteLastFrameIsDroppedWithAWarning) {
  Pipe pipe;
  auto reader = MakeRawReader(pipe.reading(), {16'000, 1, SampleType::kS16});
  pipe.Write("abcde");
  pipe.Close();
  EXPECT_EQ(ReadOnce(reader->get(), 64), "abcd");
  EXPECT_EQ(ReadOnce(reader->get(), 64), "");
  EXPECT_EQ(ReadOnce(reader->get(), 64), "");
  EXPECT_THAT((*reader)->warnings(),
              ElementsAre("raw PCM byte 4: the last 1 of 2 bytes of a frame; dropped"));
}

TEST(RawReader, SixtySecondsInAwkwardPiecesComeOutBitForBit) {
  std::string sent;
  for (const float sample : Noise(60 * 16'000, 1.0f)) {
    sent += Little(static_cast<int16_t>(sample * 32'767));
  }
  Pipe pipe;
  auto reader = MakeRawReader(pipe.reading(), {16'000, 1, SampleType::kS16});
  std::thread writer([&] {
    for (size_t at = 0; at < sent.size(); at += 4'093) {
      pipe.Write(std::string_view(sent).substr(at, 4'093));
    }
    pipe.Close();
  });
  std::string received;
  for (;;) {
    const std::string piece = ReadOnce(reader->get(), 1'001);
    if (piece.empty()) break;
    received += piece;
  }
  writer.join();
  EXPECT_TRUE(received == sent);
}

TEST(RawReader, SaysWhatItIsAndRefusesWhatItCannotBe) {
  Pipe pipe;
  auto reader = MakeRawReader(pipe.reading(), {8'000, 1, SampleType::kMulaw});
  ASSERT_TRUE(reader.ok());
  EXPECT_EQ((*reader)->description(), "raw PCM mulaw");
  EXPECT_EQ((*reader)->total_samples(), std::nullopt);
  EXPECT_EQ((*reader)->format().rate_hz, 8'000);
  EXPECT_EQ(MakeRawReader(-1, {}).status().message(), "raw PCM descriptor -1: want an open one");
  EXPECT_FALSE(MakeRawReader(pipe.reading(), {1, 1, SampleType::kS16}).ok());
  EXPECT_EQ((*reader)->Read({}).status().code(), Code::kInvalidArgument);
}

TEST(RawReader, ADescriptorThatCannotBeReadIsAnError) {
  auto reader = MakeRawReader(999'999, {});
  std::vector<std::byte> block(64);
  EXPECT_EQ((*reader)->Read(block).status().message(),
            "raw PCM after 0 bytes: Bad file descriptor");
}

}  // namespace
}  // namespace lipcast::audio
