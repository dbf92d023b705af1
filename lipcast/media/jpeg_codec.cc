#include "lipcast/media/jpeg_codec.h"

#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>

// jpeglib.h needs <cstdio> before it.
#include <jerror.h>
#include <jpeglib.h>

#include "lipcast/media/upright.h"

namespace lipcast::media {
namespace {

constexpr int kMcuPx = 16;

// libjpeg calls error_exit and expects it not to return; the default ends the process.
struct ErrorManager {
  jpeg_error_mgr base;
  jmp_buf jump;
  char message[JMSG_LENGTH_MAX];
  bool damaged;
};

ErrorManager* ManagerOf(j_common_ptr info) { return reinterpret_cast<ErrorManager*>(info->err); }

void OnError(j_common_ptr info) {
  ErrorManager* manager = ManagerOf(info);
  info->err->format_message(info, manager->message);
  longjmp(manager->jump, 1);
}

void OnMessage(j_common_ptr info, int level) {
  ErrorManager* manager = ManagerOf(info);
  // Level -1: pixels are wrong from here on. Stray bytes between markers harm nothing.
  if (level >= 0 || manager->damaged || info->err->msg_code == JWRN_EXTRANEOUS_DATA) return;
  manager->damaged = true;
  info->err->format_message(info, manager->message);
}

void InstallManager(ErrorManager* manager) {
  jpeg_std_error(&manager->base);
  manager->base.error_exit = OnError;
  manager->base.emit_message = OnMessage;
  manager->base.output_message = [](j_common_ptr) {};
  manager->message[0] = '\0';
  manager->damaged = false;
}

/// The orientation tag of an EXIF block; 1 where there is none.
int ExifOrientation(const uint8_t* data, size_t size) {
  if (size < 14 || std::memcmp(data, "Exif\0\0", 6) != 0) return 1;
  const uint8_t* tiff = data + 6;
  const size_t tiff_size = size - 6;
  const bool big = tiff[0] == 'M';
  const auto read16 = [&](size_t at) -> uint32_t {
    if (at + 2 > tiff_size) return 0;
    return big ? tiff[at] << 8 | tiff[at + 1] : tiff[at + 1] << 8 | tiff[at];
  };
  const auto read32 = [&](size_t at) -> uint32_t {
    return big ? read16(at) << 16 | read16(at + 2) : read16(at + 2) << 16 | read16(at);
  };
  const size_t directory = read32(4);
  if (directory > tiff_size) return 1;
  const uint32_t entries = read16(directory);
  for (uint32_t i = 0; i < entries; ++i) {
    const size_t entry = directory + 2 + size_t{12} * i;
    if (entry + 12 > tiff_size) return 1;
    if (read16(entry) == 0x0112) return static_cast<int>(read16(entry + 8));
  }
  return 1;
}

// Everything the decoder touches between its two halves, so that no local of a function with
// setjmp is changed after it.
struct Decoder {
  jpeg_decompress_struct info;
  ErrorManager errors;
  int exif = 1;
  std::vector<uint8_t> cmyk_row;
};

bool ReadHeader(Decoder* decoder, std::span<const uint8_t> bytes) {
  if (setjmp(decoder->errors.jump) != 0) return false;
  jpeg_create_decompress(&decoder->info);
  jpeg_mem_src(&decoder->info, bytes.data(), static_cast<unsigned long>(bytes.size()));
  jpeg_save_markers(&decoder->info, JPEG_APP0 + 1, 0xffff);
  jpeg_read_header(&decoder->info, TRUE);
  for (jpeg_saved_marker_ptr marker = decoder->info.marker_list; marker; marker = marker->next) {
    if (marker->marker == JPEG_APP0 + 1) {
      decoder->exif = ExifOrientation(marker->data, marker->data_length);
      break;
    }
  }
  return true;
}

void CmykToBgr(const uint8_t* cmyk, bool inverted, int width, uint8_t* bgr) {
  for (int x = 0; x < width; ++x, cmyk += 4, bgr += 3) {
    const int flip = inverted ? 0 : 255;
    const int black = cmyk[3] ^ flip;
    for (int c = 0; c < 3; ++c) {
      bgr[c] = static_cast<uint8_t>(((cmyk[2 - c] ^ flip) * black + 127) / 255);
    }
  }
}

bool ReadPixels(Decoder* decoder, const MutablePictureView& to) {
  if (setjmp(decoder->errors.jump) != 0) return false;
  jpeg_decompress_struct* info = &decoder->info;
  const bool cmyk = info->jpeg_color_space == JCS_CMYK || info->jpeg_color_space == JCS_YCCK;
  info->out_color_space = cmyk ? JCS_CMYK : JCS_EXT_BGR;
  jpeg_start_decompress(info);
  while (info->output_scanline < info->output_height) {
    uint8_t* out = to.plane[0] + static_cast<ptrdiff_t>(info->output_scanline) * to.stride[0];
    JSAMPROW row = cmyk ? decoder->cmyk_row.data() : out;
    jpeg_read_scanlines(info, &row, 1);
    if (cmyk) CmykToBgr(row, info->saw_Adobe_marker, to.width, out);
  }
  jpeg_finish_decompress(info);
  return true;
}

// y, cb, cr of BT.709 to y', cb', cr' of BT.601 in 16.16; chroma does not depend on luma, so the
// planes keep their subsampling. Derived from the two standards' luma weights.
namespace to_jfif {
constexpr double kRed = 0.2126, kGreen = 0.7152, kBlue = 0.0722;  // BT.709
constexpr double kJRed = 0.299, kJGreen = 0.587, kJBlue = 0.114;  // BT.601
constexpr double kRCr = 2 * (1 - kRed), kBCb = 2 * (1 - kBlue);
constexpr double kGCb = -kBCb * kBlue / kGreen, kGCr = -kRCr * kRed / kGreen;
constexpr double kYCb = kJGreen * kGCb + kJBlue * kBCb;
constexpr double kYCr = kJGreen * kGCr + kJRed * kRCr;
constexpr int Fixed(double v) { return static_cast<int>(v * 65536 + (v < 0 ? -0.5 : 0.5)); }
constexpr double kChroma = 255.0 / 224;
constexpr int kYY = Fixed(255.0 / 219);
constexpr int kYFromCb = Fixed(kChroma * kYCb), kYFromCr = Fixed(kChroma * kYCr);
constexpr int kCbFromCb = Fixed(kChroma * (kBCb - kYCb) / (2 * (1 - kJBlue)));
constexpr int kCbFromCr = Fixed(kChroma * -kYCr / (2 * (1 - kJBlue)));
constexpr int kCrFromCb = Fixed(kChroma * -kYCb / (2 * (1 - kJRed)));
constexpr int kCrFromCr = Fixed(kChroma * (kRCr - kYCr) / (2 * (1 - kJRed)));
}  // namespace to_jfif

uint8_t Clamp(int fixed) {
  const int value = (fixed + 32768) >> 16;
  return static_cast<uint8_t>(value < 0 ? 0 : value > 255 ? 255 : value);
}

void PadRow(uint8_t* row, int from, int to) {
  if (to > from) std::memset(row + from, row[from - 1], static_cast<size_t>(to - from));
}

/// One row of MCUs in JFIF's colours, padded on the right and below by repeating the edge.
class McuRow {
 public:
  explicit McuRow(const PictureView& picture)
      : picture_(picture), width_((picture.width + kMcuPx - 1) / kMcuPx * kMcuPx) {
    bytes_.resize(static_cast<size_t>(width_) * (kMcuPx + kMcuPx / 2));
    for (int y = 0; y < kMcuPx; ++y) y_[y] = bytes_.data() + y * width_;
    uint8_t* chroma = bytes_.data() + kMcuPx * width_;
    for (int y = 0; y < kMcuPx / 2; ++y) {
      cb_[y] = chroma + y * (width_ / 2);
      cr_[y] = chroma + (kMcuPx / 2 + y) * (width_ / 2);
    }
  }

  JSAMPARRAY* Fill(int top) {
    const int chroma_rows = (picture_.height + 1) / 2;
    const int chroma_width = (picture_.width + 1) / 2;
    for (int y = 0; y < kMcuPx / 2; ++y) {
      const int row = std::min(top / 2 + y, chroma_rows - 1);
      const uint8_t* cb = picture_.plane[1] + row * picture_.stride[1];
      const uint8_t* cr = picture_.plane[2] + row * picture_.stride[2];
      for (int x = 0; x < chroma_width; ++x) {
        const int b = cb[x] - 128, r = cr[x] - 128;
        cb_[y][x] = Clamp((128 << 16) + b * to_jfif::kCbFromCb + r * to_jfif::kCbFromCr);
        cr_[y][x] = Clamp((128 << 16) + b * to_jfif::kCrFromCb + r * to_jfif::kCrFromCr);
      }
      PadRow(cb_[y], chroma_width, width_ / 2);
      PadRow(cr_[y], chroma_width, width_ / 2);
    }
    for (int y = 0; y < kMcuPx; ++y) {
      const int row = std::min(top + y, picture_.height - 1);
      const uint8_t* luma = picture_.plane[0] + row * picture_.stride[0];
      const uint8_t* cb = picture_.plane[1] + row / 2 * picture_.stride[1];
      const uint8_t* cr = picture_.plane[2] + row / 2 * picture_.stride[2];
      for (int x = 0; x < picture_.width; ++x) {
        y_[y][x] = Clamp((luma[x] - 16) * to_jfif::kYY + (cb[x / 2] - 128) * to_jfif::kYFromCb +
                         (cr[x / 2] - 128) * to_jfif::kYFromCr);
      }
      PadRow(y_[y], picture_.width, width_);
    }
    return planes_;
  }

 private:
  const PictureView picture_;
  const int width_;
  std::vector<uint8_t> bytes_;
  JSAMPROW y_[kMcuPx], cb_[kMcuPx / 2], cr_[kMcuPx / 2];
  JSAMPARRAY planes_[3] = {y_, cb_, cr_};
};

struct Encoder {
  jpeg_compress_struct info;
  ErrorManager errors;
  unsigned char* buffer = nullptr;
  unsigned long size = 0;
};

bool WritePixels(Encoder* encoder, const PictureView& picture, McuRow* mcus, int quality,
                 int restart_interval_mcus) {
  if (setjmp(encoder->errors.jump) != 0) return false;
  jpeg_compress_struct* info = &encoder->info;
  jpeg_create_compress(info);
  jpeg_mem_dest(info, &encoder->buffer, &encoder->size);
  info->image_width = static_cast<JDIMENSION>(picture.width);
  info->image_height = static_cast<JDIMENSION>(picture.height);
  const bool gray = picture.format == PixelFormat::kGray8;
  info->input_components = gray ? 1 : 3;
  info->in_color_space = gray ? JCS_GRAYSCALE : mcus ? JCS_YCbCr : JCS_EXT_BGR;
  jpeg_set_defaults(info);
  jpeg_set_quality(info, quality, TRUE);
  info->restart_interval = static_cast<unsigned>(restart_interval_mcus);
  info->raw_data_in = mcus ? TRUE : FALSE;
  jpeg_start_compress(info, TRUE);
  while (info->next_scanline < info->image_height) {
    if (mcus) {
      jpeg_write_raw_data(info, mcus->Fill(static_cast<int>(info->next_scanline)), kMcuPx);
    } else {
      auto row = const_cast<JSAMPROW>(
          picture.plane[0] + static_cast<ptrdiff_t>(info->next_scanline) * picture.stride[0]);
      jpeg_write_scanlines(info, &row, 1);
    }
  }
  jpeg_finish_compress(info);
  return true;
}

}  // namespace

Result<Picture> DecodeJpeg(std::span<const uint8_t> bytes) {
  if (bytes.empty()) return Status(Code::kInvalidArgument, "JPEG: 0 bytes");
  Decoder decoder = {};
  InstallManager(&decoder.errors);
  decoder.info.err = &decoder.errors.base;
  struct Closer {
    Decoder* decoder;
    ~Closer() { jpeg_destroy_decompress(&decoder->info); }
  } closer{&decoder};
  const auto fail = [&]() {
    return Status(Code::kDataLoss, std::string("JPEG: ") + decoder.errors.message);
  };
  if (!ReadHeader(&decoder, bytes)) return fail();
  const JDIMENSION width = decoder.info.image_width, height = decoder.info.image_height;
  if (width > kMaxSidePx || height > kMaxSidePx) {
    return Status(Code::kInvalidArgument, "JPEG: " + std::to_string(width) + "x" +
                                              std::to_string(height) + ": want sides up to " +
                                              std::to_string(kMaxSidePx));
  }
  LC_ASSIGN_OR_RETURN(Picture picture, Picture::Create(PixelFormat::kBgr24, static_cast<int>(width),
                                                       static_cast<int>(height)));
  decoder.cmyk_row.resize(size_t{4} * width);
  if (!ReadPixels(&decoder, picture.mutable_view()) || decoder.errors.damaged) return fail();
  const Orientation orientation = OrientationFromExif(decoder.exif);
  if (!orientation.upright()) return MakeUpright(picture.view(), orientation);
  return picture;
}

Status EncodeJpeg(const PictureView& picture, int quality, int restart_interval_mcus,
                  std::vector<uint8_t>* out) {
  if (picture.format == PixelFormat::kBgra32) {
    return Status(Code::kInvalidArgument, "JPEG: a picture with alpha: want bgr24, i420 or gray8");
  }
  if (picture.width < 1 || picture.height < 1 || picture.width > kMaxSidePx ||
      picture.height > kMaxSidePx) {
    return Status(Code::kInvalidArgument, "JPEG: " + std::to_string(picture.width) + "x" +
                                              std::to_string(picture.height) +
                                              ": want sides of 1..8192");
  }
  if (quality < 1 || quality > 100) {
    return Status(Code::kInvalidArgument,
                  "JPEG quality " + std::to_string(quality) + ": want 1..100");
  }
  if (restart_interval_mcus < 0 || restart_interval_mcus > 65535) {
    return Status(
        Code::kInvalidArgument,
        "JPEG restart interval " + std::to_string(restart_interval_mcus) + " MCUs: want 0..65535");
  }
  Encoder encoder = {};
  InstallManager(&encoder.errors);
  encoder.info.err = &encoder.errors.base;
  // The vector's own memory first; libjpeg allocates where that is too small.
  const size_t pixels = static_cast<size_t>(picture.width) * picture.height;
  out->resize(std::max(out->capacity(), pixels / 4 + 4096));
  encoder.buffer = out->data();
  encoder.size = static_cast<unsigned long>(out->size());
  const bool planar = picture.format == PixelFormat::kI420;
  std::optional<McuRow> mcus;
  if (planar) mcus.emplace(picture);
  const bool written =
      WritePixels(&encoder, picture, planar ? &*mcus : nullptr, quality, restart_interval_mcus);
  jpeg_destroy_compress(&encoder.info);
  if (encoder.buffer != out->data()) {
    if (written) out->assign(encoder.buffer, encoder.buffer + encoder.size);
    std::free(encoder.buffer);
  } else {
    out->resize(written ? encoder.size : 0);
  }
  if (!written) return Status(Code::kInternal, std::string("JPEG: ") + encoder.errors.message);
  return Status();
}

}  // namespace lipcast::media
