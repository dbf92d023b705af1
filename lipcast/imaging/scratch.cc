#include "lipcast/imaging/scratch.h"

#include <algorithm>
#include <utility>

namespace lipcast::imaging {

std::span<uint8_t> Scratch::Bytes(Use use, size_t bytes) {
  std::vector<uint8_t>& buffer = buffers_[static_cast<size_t>(use)];
  if (buffer.size() < bytes) buffer.resize(bytes);
  return {buffer.data(), bytes};
}

Result<const CubicResizer*> Scratch::Resizer(int src_w, int src_h, int dst_w, int dst_h,
                                             int channels, ResizeKernel kernel) {
  ++uses_;
  for (Entry& entry : entries_) {
    const CubicResizer& r = *entry.resizer;
    if (r.src_width() == src_w && r.src_height() == src_h && r.dst_width() == dst_w &&
        r.dst_height() == dst_h && r.channels() == channels && r.kernel() == kernel) {
      entry.last_use = uses_;
      return &r;
    }
  }
  LC_ASSIGN_OR_RETURN(CubicResizer made,
                      CubicResizer::Create(src_w, src_h, dst_w, dst_h, channels, kernel));
  auto resizer = std::make_unique<const CubicResizer>(std::move(made));
  table_bytes_ += resizer->table_bytes();
  while (table_bytes_ > kMaxTableBytes && !entries_.empty()) {
    const auto oldest =
        std::min_element(entries_.begin(), entries_.end(),
                         [](const Entry& a, const Entry& b) { return a.last_use < b.last_use; });
    table_bytes_ -= oldest->resizer->table_bytes();
    std::swap(*oldest, entries_.back());
    entries_.pop_back();
  }
  entries_.push_back({std::move(resizer), uses_});
  return entries_.back().resizer.get();
}

Status Scratch::Resize(const PictureView& src, const MutablePictureView& dst, int channels,
                       ResizeKernel kernel) {
  LC_ASSIGN_OR_RETURN(const CubicResizer* resizer,
                      Resizer(src.width, src.height, dst.width, dst.height, channels, kernel));
  resizer->Resize(src, dst, Bytes(Use::kFilter, resizer->scratch_bytes()));
  return {};
}

}  // namespace lipcast::imaging
