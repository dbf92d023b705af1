#include "lipcast/audio/wav_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lipcast/audio/test_signals.h"

namespace lipcast::audio {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

struct Wav {
  uint16_t tag = 1, channels = 1;
  uint32_t rate_hz = 16'000;
  uint16_t bits = 16;
  int block_align = -1;    // as it should be
  int64_t data_size = -1;  // as it is
  std::string before_fmt, before_data, samples = std::string("\x01\x02\x03\x04\x05\x06\x07\x08", 8);
  std::string after_data;
  std::string magic = "RIFF";
  bool extensible = false;

  std::string Format() const {
    const int frame_bytes = channels * ((bits + 7) / 8);
    std::string fmt = Little<uint16_t>(extensible ? 0xFFFE : tag) + Little(channels) +
                      Little(rate_hz) + Little<uint32_t>(rate_hz * frame_bytes) +
                      Little(static_cast<uint16_t>(block_align < 0 ? frame_bytes : block_align)) +
                      Little(bits);
    if (extensible) {
      fmt += Little<uint16_t>(22) + Little(bits) + Little<uint32_t>(3) + Little(tag) +
             std::string("\x00\x00\x00\x00\x10\x00\x80\x00\x00\xAA\x00\x38\x9B\x71", 14);
    }
    return fmt;
  }
  static std::string Chunk(const std::string& name, const std::string& body) {
    return name + Little(static_cast<uint32_t>(body.size())) + body +
           std::string(body.size() & 1, '\0');
  }
  std::string Bytes() const {
    const std::string body =
        "WAVE" + before_fmt + Chunk("fmt ", Format()) + before_data + "data" +
        Little(static_cast<uint32_t>(data_size < 0 ? samples.size() : data_size)) + samples +
        after_data;
    return magic + Little(static_cast<uint32_t>(body.size())) + body;
  }
};

Result<WavHeader> Parse(const std::string& bytes) {
  return ParseWavHeader(AsBytes(bytes), bytes.size());
}
std::string ErrorOf(const std::string& bytes) {
  const auto header = Parse(bytes);
  EXPECT_FALSE(header.ok());
  return header.status().message();
}

// What a reader delivers in all, asked for `piece` bytes at a time.
std::string ReadAll(AudioReader* reader, size_t piece) {
  std::string all;
  std::vector<std::byte> block(piece);
  for (;;) {
    const auto count = reader->Read(block);
    EXPECT_TRUE(count.ok()) << count.status().message();
    if (!count.ok() || *count == 0) return all;
    all.append(reinterpret_cast<const char*>(block.data()), *count);
  }
}
std::string SamplesOf(const std::string& bytes, std::vector<std::string>* warnings = nullptr) {
  const TemporaryFile file("a.wav", bytes);
  auto reader = OpenWav(file.path());
  EXPECT_TRUE(reader.ok()) << reader.status().message();
  if (!reader.ok()) return "";
  const std::string samples = ReadAll(reader->get(), 1'024);
  const int64_t total = (*reader)->total_samples().value_or(-1);
  EXPECT_EQ(samples.size(), static_cast<size_t>(total * (*reader)->format().frame_bytes()));
  if (warnings != nullptr) *warnings = (*reader)->warnings();
  return samples;
}

TEST(WavReader, EverySampleTypeIsReadInItsOwnBytes) {
  const struct {
    uint16_t tag, bits;
    SampleType type;
  } kinds[] = {{1, 8, SampleType::kU8},    {1, 16, SampleType::kS16}, {1, 24, SampleType::kS24},
               {1, 32, SampleType::kS32},  {3, 32, SampleType::kF32}, {3, 64, SampleType::kF64},
               {7, 8, SampleType::kMulaw}, {6, 8, SampleType::kAlaw}, {1, 12, SampleType::kS16},
               {1, 20, SampleType::kS24}};
  for (const auto& kind : kinds) {
    for (const bool extensible : {false, true}) {
      Wav wav;
      wav.tag = kind.tag;
      wav.bits = kind.bits;
      wav.channels = 2;
      wav.rate_hz = 44'100;
      wav.extensible = extensible;
      wav.samples = "abcdefghijklmnopqrstuvwxyz012345ABCDEFGHIJKLMNOP";
      const auto header = Parse(wav.Bytes());
      ASSERT_TRUE(header.ok()) << header.status().message();
      EXPECT_EQ(header->format, (AudioFormat{44'100, 2, kind.type}));
      EXPECT_EQ(header->data_bytes, 48u);
      EXPECT_THAT(header->warnings, IsEmpty());
      EXPECT_EQ(SamplesOf(wav.Bytes()), wav.samples);
    }
  }
}

TEST(WavReader, ASizeOfZeroOrFFFFFFFFMeansWhatIsThereWithAWarning) {
  for (const int64_t size : {int64_t{0}, int64_t{0xFFFFFFFF}}) {
    Wav wav;
    wav.data_size = size;
    std::vector<std::string> warnings;
    EXPECT_EQ(SamplesOf(wav.Bytes(), &warnings), wav.samples);
    EXPECT_THAT(warnings, ElementsAre("WAV byte 40: a data size of " + std::to_string(size) +
                                      " (a stream's header); the 8 bytes that follow are read"));
  }
}

TEST(WavReader, ADataChunkThatIsTrulyEmptyIsEmpty) {
  Wav wav;
  wav.samples = "";
  std::vector<std::string> warnings;
  EXPECT_EQ(SamplesOf(wav.Bytes(), &warnings), "");
  EXPECT_THAT(warnings, IsEmpty());
  wav.after_data = Wav::Chunk("LIST", "INFOISFT____");
  EXPECT_EQ(SamplesOf(wav.Bytes(), &warnings), "");
  EXPECT_THAT(warnings, IsEmpty());
}

TEST(WavReader, ASizeBeyondTheFileMeansWhatIsThereWithAWarning) {
  Wav wav;
  wav.data_size = 1'000'000;
  std::vector<std::string> warnings;
  EXPECT_EQ(SamplesOf(wav.Bytes(), &warnings), wav.samples);
  EXPECT_THAT(warnings, ElementsAre("WAV byte 40: a data size of 1000000, but the file ends after "
                                    "8 bytes of it; those are read"));
}

TEST(WavReader, AnOddLastByteIsDroppedWithAWarning) {
  Wav wav;
  wav.samples += "x";
  std::vector<std::string> warnings;
  EXPECT_EQ(SamplesOf(wav.Bytes(), &warnings), wav.samples.substr(0, 8));
  EXPECT_THAT(warnings,
              ElementsAre("WAV byte 52: the last 1 byte are no whole frame of 2; dropped"));
}

TEST(WavReader, ChunksBeforeTheFormatAndBeforeTheDataAreSteppedOver) {
  Wav wav;
  wav.before_fmt = Wav::Chunk("LIST", "INFO odd");
  wav.before_data = Wav::Chunk("fact", "1234") + Wav::Chunk("junk", "odd length: padded.....");
  wav.after_data = Wav::Chunk("LIST", "trailing");
  std::vector<std::string> warnings;
  EXPECT_EQ(SamplesOf(wav.Bytes(), &warnings), wav.samples);
  EXPECT_THAT(warnings, IsEmpty());
}

TEST(WavReader, AHeaderBehindAMegabyteOfOtherChunksIsFound) {
  Wav wav;
  wav.before_data = Wav::Chunk("LIST", std::string(1 << 20, 'x'));
  EXPECT_EQ(SamplesOf(wav.Bytes()), wav.samples);
  const std::string bytes = wav.Bytes();
  const auto cut = ParseWavHeader(AsBytes(bytes).first(4'096), bytes.size());
  EXPECT_EQ(cut.status().code(), Code::kOutOfRange);
}

TEST(WavReader, SizesOf64BitsAreTakenFromTheirChunk) {
  Wav wav;
  wav.magic = "RF64";
  wav.data_size = 0xFFFFFFFF;
  wav.before_fmt = Wav::Chunk("ds64", Little<uint64_t>(100) + Little<uint64_t>(6) +
                                          Little<uint64_t>(3) + Little<uint32_t>(0));
  wav.after_data = "xx";
  std::vector<std::string> warnings;
  EXPECT_EQ(SamplesOf(wav.Bytes(), &warnings), wav.samples.substr(0, 6));
  EXPECT_THAT(warnings, IsEmpty());
}

TEST(WavReader, NonsenseInTheFormatIsRefusedWithItsByte) {
  Wav wav;
  wav.channels = 0;
  EXPECT_EQ(ErrorOf(wav.Bytes()), "WAV byte 22: 0 channels, want 1..8");
  wav = {};
  wav.channels = 9;
  EXPECT_EQ(ErrorOf(wav.Bytes()), "WAV byte 22: 9 channels, want 1..8");
  wav = {};
  wav.block_align = 3;
  EXPECT_EQ(ErrorOf(wav.Bytes()), "WAV byte 32: a block align of 3, want 2 (1 x 2 bytes)");
  wav = {};
  wav.rate_hz = 0;
  EXPECT_EQ(ErrorOf(wav.Bytes()), "WAV byte 24: a rate of 0 Hz, want 8000..192000");
  wav.rate_hz = 0xFFFFFFFF;
  EXPECT_THAT(ErrorOf(wav.Bytes()), HasSubstr("WAV byte 24: a rate of 4294967295 Hz"));
  for (const int bits : {0, 33, 64, 65'535}) {
    wav = {};
    wav.bits = static_cast<uint16_t>(bits);
    EXPECT_THAT(ErrorOf(wav.Bytes()),
                HasSubstr("WAV byte 34: " + std::to_string(bits) + " bits a sample"));
  }
}

TEST(WavReader, ACodecIsLeftToOthers) {
  Wav wav;
  wav.tag = 0x11;
  EXPECT_EQ(Parse(wav.Bytes()).status().code(), Code::kUnimplemented);
  EXPECT_THAT(ErrorOf(wav.Bytes()), HasSubstr("WAV byte 20: format tag 17"));
  wav = {};
  wav.extensible = true;
  std::string bytes = wav.Bytes();
  bytes[20 + 30] ^= 1;
  EXPECT_EQ(Parse(bytes).status().code(), Code::kUnimplemented);
}

TEST(WavReader, AWrongByteRateIsOnlyWarnedOf) {
  std::string bytes = Wav{}.Bytes();
  bytes[28] = 1;
  std::vector<std::string> warnings;
  EXPECT_EQ(SamplesOf(bytes, &warnings), Wav{}.samples);
  EXPECT_THAT(warnings, ElementsAre(HasSubstr("WAV byte 28: a byte rate of 32001, want 32000")));
}

TEST(WavReader, DataBeforeTheFormatIsRefused) {
  Wav wav;
  wav.before_fmt = Wav::Chunk("data", "1234");
  EXPECT_EQ(ErrorOf(wav.Bytes()), "WAV byte 12: the data chunk comes before the fmt chunk");
}

TEST(WavReader, AChunkThatClaimsMoreThanTheFileIsRefusedWithItsByte) {
  std::string bytes = Wav{}.Bytes();
  bytes[16 + 3] = '\x7F';  // the size of fmt
  EXPECT_THAT(ErrorOf(bytes), HasSubstr("WAV byte 16: chunk 'fmt ' claims 2130706448 bytes"));
}

TEST(WavReader, EveryTruncationIsAnErrorThatNamesAByteOrReadsWhatIsThere) {
  for (const bool extensible : {false, true}) {
    Wav wav;
    wav.extensible = extensible;
    wav.before_data = Wav::Chunk("LIST", "INFO");
    const std::string bytes = wav.Bytes();
    const size_t data_at = bytes.size() - wav.samples.size();
    for (size_t length = 0; length < bytes.size(); ++length) {
      const auto header = Parse(bytes.substr(0, length));
      EXPECT_EQ(header.ok(), length >= data_at) << length;
      if (header.ok()) {
        EXPECT_EQ(header->data_bytes, (length - data_at) / 2 * 2);
      } else {
        EXPECT_THAT(header.status().message(), HasSubstr("WAV byte ")) << length;
      }
    }
  }
}

TEST(WavReader, NoValueOfAnyHeaderByteCrashesOrReadsOutsideTheFile) {
  int accepted = 0, refused = 0;
  for (const bool extensible : {false, true}) {
    Wav wav;
    wav.extensible = extensible;
    const std::string good = wav.Bytes();
    for (size_t at = 0; at < good.size() - wav.samples.size(); ++at) {
      for (int value = 0; value < 256; ++value) {
        std::string bytes = good;
        bytes[at] = static_cast<char>(value);
        const auto header = Parse(bytes);
        if (!header.ok()) {
          ++refused;
          ASSERT_THAT(header.status().message(), HasSubstr("WAV byte ")) << at << " " << value;
          continue;
        }
        ++accepted;
        ASSERT_TRUE(header->format.Validate().ok());
        ASSERT_LE(header->data_offset + header->data_bytes, bytes.size());
        ASSERT_EQ(header->data_bytes % header->format.frame_bytes(), 0u);
      }
    }
  }
  EXPECT_GT(accepted, 1'000);
  EXPECT_GT(refused, 1'000);
}

TEST(WavReader, PiecesOfAnySizeHoldWholeFramesAndTheSameBytes) {
  Wav wav;
  wav.channels = 2;
  wav.bits = 24;
  wav.samples.clear();
  for (int i = 0; i < 6 * 3'000; ++i) wav.samples += static_cast<char>(i * 131 % 251);
  const TemporaryFile file("\xD0\xB3\xD0\xBE\xD0\xBB\xD0\xBE\xD1\x81 \xF0\x9F\x98\x80.wav",
                           wav.Bytes());
  for (const size_t piece : {6, 7, 37, 4'093, 100'000}) {
    auto reader = OpenWav(file.path());
    ASSERT_TRUE(reader.ok()) << reader.status().message();
    EXPECT_EQ(ReadAll(reader->get(), piece), wav.samples) << piece;
    EXPECT_THAT((*reader)->warnings(), IsEmpty());
  }
  auto reader = OpenWav(file.path());
  std::vector<std::byte> block(5);
  EXPECT_EQ((*reader)->Read(block).status().code(), Code::kInvalidArgument);
}

TEST(WavReader, AFileThatShrinksWhileItIsReadEndsWithAWarning) {
  Wav wav;
  wav.samples = std::string(10'000, 'x');
  const TemporaryFile file("a.wav", wav.Bytes());
  auto reader = OpenWav(file.path());
  ASSERT_TRUE(reader.ok());
  std::filesystem::resize_file(file.path(), 44 + 2'001);
  EXPECT_EQ(ReadAll(reader->get(), 1'500).size(), 2'000u);
  EXPECT_THAT((*reader)->warnings(),
              ElementsAre("WAV byte 2044: the file was cut off while it was read"));
}

TEST(WavReader, AFileThatGrowsWhileItIsReadEndsWhereItEndedWhenOpened) {
  Wav wav;
  wav.data_size = 0xFFFFFFFF;
  wav.samples = std::string(2'000, 'x');
  const TemporaryFile file("a.wav", wav.Bytes());
  auto reader = OpenWav(file.path());
  ASSERT_TRUE(reader.ok());
  std::ofstream(file.path(), std::ios::binary | std::ios::app) << std::string(500, 'y');
  EXPECT_EQ(ReadAll(reader->get(), 64), wav.samples);
}

}  // namespace
}  // namespace lipcast::audio
