#include "lipcast/media/png_codec.h"

#include <png.h>

#include <csetjmp>
#include <cstring>
#include <string>

namespace lipcast::media {
namespace {

constexpr png_alloc_size_t kMaxChunkBytes = 16u << 20;

// What both directions keep outside the functions with setjmp.
struct PngJob {
  jmp_buf jump;
  char message[128] = "";
  std::span<const uint8_t> input;
  size_t position = 0;
  std::vector<uint8_t>* output = nullptr;
};

void OnError(png_structp png, png_const_charp message) {
  auto* job = static_cast<PngJob*>(png_get_error_ptr(png));
  std::strncpy(job->message, message, sizeof job->message - 1);
  longjmp(job->jump, 1);
}
void OnWarning(png_structp, png_const_charp) {}

void OnRead(png_structp png, png_bytep to, size_t size) {
  auto* job = static_cast<PngJob*>(png_get_io_ptr(png));
  if (size > job->input.size() - job->position) png_error(png, "the data ends early");
  std::memcpy(to, job->input.data() + job->position, size);
  job->position += size;
}
void OnWrite(png_structp png, png_bytep from, size_t size) {
  auto* job = static_cast<PngJob*>(png_get_io_ptr(png));
  job->output->insert(job->output->end(), from, from + size);
}
void OnFlush(png_structp) {}

struct Reader {
  PngJob job;
  png_structp png = nullptr;
  png_infop info = nullptr;
  ~Reader() { png_destroy_read_struct(&png, &info, nullptr); }
};

bool ReadHeader(Reader* reader) {
  if (setjmp(reader->job.jump) != 0) return false;
  png_structp png = reader->png;
  png_set_read_fn(png, &reader->job, OnRead);
  // The size is judged by the caller, whose message names the limit.
  png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
  png_set_chunk_malloc_max(png, kMaxChunkBytes);
  png_set_chunk_cache_max(png, 64);
  png_read_info(png, reader->info);
  png_set_expand(png);
  png_set_scale_16(png);
  png_set_gray_to_rgb(png);
  png_set_bgr(png);
  return true;
}

bool ReadPixels(Reader* reader, png_bytepp rows) {
  if (setjmp(reader->job.jump) != 0) return false;
  png_set_interlace_handling(reader->png);
  png_read_update_info(reader->png, reader->info);
  png_read_image(reader->png, rows);
  png_read_end(reader->png, nullptr);
  return true;
}

struct Writer {
  PngJob job;
  png_structp png = nullptr;
  png_infop info = nullptr;
  ~Writer() { png_destroy_write_struct(&png, &info); }
};

bool WritePixels(Writer* writer, const PictureView& picture) {
  if (setjmp(writer->job.jump) != 0) return false;
  png_structp png = writer->png;
  png_set_write_fn(png, &writer->job, OnWrite, OnFlush);
  png_set_compression_level(png, 1);
  png_set_filter(png, 0, PNG_FILTER_SUB);
  const int color = picture.format == PixelFormat::kGray8    ? PNG_COLOR_TYPE_GRAY
                    : picture.format == PixelFormat::kBgra32 ? PNG_COLOR_TYPE_RGB_ALPHA
                                                             : PNG_COLOR_TYPE_RGB;
  png_set_IHDR(png, writer->info, static_cast<png_uint_32>(picture.width),
               static_cast<png_uint_32>(picture.height), 8, color, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(png, writer->info);
  png_set_bgr(png);
  for (int y = 0; y < picture.height; ++y) {
    png_write_row(png, picture.plane[0] + y * picture.stride[0]);
  }
  png_write_end(png, writer->info);
  return true;
}

}  // namespace

Result<Picture> DecodePng(std::span<const uint8_t> bytes) {
  Reader reader;
  reader.job.input = bytes;
  reader.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &reader.job, OnError, OnWarning);
  if (reader.png) reader.info = png_create_info_struct(reader.png);
  if (!reader.info) return Status(Code::kResourceExhausted, "PNG: no memory for a decoder");
  const auto fail = [&]() {
    return Status(Code::kDataLoss, std::string("PNG: ") + reader.job.message);
  };
  if (!ReadHeader(&reader)) return fail();
  const png_uint_32 width = png_get_image_width(reader.png, reader.info);
  const png_uint_32 height = png_get_image_height(reader.png, reader.info);
  if (width > kMaxSidePx || height > kMaxSidePx) {
    return Status(Code::kInvalidArgument, "PNG: " + std::to_string(width) + "x" +
                                              std::to_string(height) + ": want sides up to " +
                                              std::to_string(kMaxSidePx));
  }
  const bool alpha = (png_get_color_type(reader.png, reader.info) & PNG_COLOR_MASK_ALPHA) != 0 ||
                     png_get_valid(reader.png, reader.info, PNG_INFO_tRNS) != 0;
  LC_ASSIGN_OR_RETURN(Picture picture,
                      Picture::Create(alpha ? PixelFormat::kBgra32 : PixelFormat::kBgr24,
                                      static_cast<int>(width), static_cast<int>(height)));
  std::vector<png_bytep> rows(height);
  const MutablePictureView view = picture.mutable_view();
  for (png_uint_32 y = 0; y < height; ++y) rows[y] = view.plane[0] + y * view.stride[0];
  if (!ReadPixels(&reader, rows.data())) return fail();
  return picture;
}

Status EncodePng(const PictureView& picture, std::vector<uint8_t>* out) {
  if (picture.format == PixelFormat::kI420) {
    return Status(Code::kInvalidArgument, "PNG: an i420 picture: want bgr24, bgra32 or gray8");
  }
  if (picture.width < 1 || picture.height < 1 || picture.width > kMaxSidePx ||
      picture.height > kMaxSidePx) {
    return Status(Code::kInvalidArgument, "PNG: " + std::to_string(picture.width) + "x" +
                                              std::to_string(picture.height) +
                                              ": want sides of 1..8192");
  }
  Writer writer;
  writer.job.output = out;
  out->clear();
  writer.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &writer.job, OnError, OnWarning);
  if (writer.png) writer.info = png_create_info_struct(writer.png);
  if (!writer.info) return Status(Code::kResourceExhausted, "PNG: no memory for an encoder");
  if (!WritePixels(&writer, picture)) {
    return Status(Code::kInternal, std::string("PNG: ") + writer.job.message);
  }
  return Status();
}

}  // namespace lipcast::media
